"""The rules of the house that a tool can check, each shown to catch what it is for."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("events", "functions", "gpu-pool", "bot", "local-dev")
LONGEST_FUNCTION = 50
"""Lines, docstring not counted."""
NAMELESS = frozenset({"utils.py", "helpers.py", "common.py", "misc.py"})
MAY_READ_ENVIRONMENT = frozenset({"settings.py", "__main__.py", "asgi.py"})
INHERITING_LAUNCHER = "bots/launchers/process.py"
"""Hands PATH, HOME and the like on to the processes that it starts."""
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
MACHINE_PATH = re.compile(r"/(?:work|home/[a-z]+|Users/[A-Za-z]+)/(?:main|shared|[a-z]+)\b")
INDEX_HOST = re.compile(
    r"(?:--(?:extra-)?index-url|--find-links|file:///opt/|https?://[\w.-]*(?:artifactory|nexus|devpi))"
)
ISSUE_NUMBER = re.compile(r"#.*(?:\b(?:issue|PR|ticket|bug)\s*#?\d+|\(#\d+\)|\bGH-\d+)", re.IGNORECASE)
PAST_TENSE = re.compile(r"#\s*(?:fix(?:ed)? for|previously|used to|workaround for (?:issue|bug))\b", re.IGNORECASE)
TEXT_SUFFIXES = frozenset({".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".sql", ".html", ".js", ".css", ""})
THIS_FILE = Path(__file__).resolve()


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


N = TypeVar("N", bound=ast.AST)
Rule = Callable[[Source], Iterator[str]]


def tracked(*folders: str) -> list[Path]:
    """List the files that git knows, below the given folders or everywhere."""
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def sources(*folders: str) -> list[Source]:
    return [Source(path, path.read_text()) for path in tracked(*folders) if path.suffix == ".py"]


def no_nameless_module(source: Source) -> Iterator[str]:
    """A module is named after what it holds."""
    if source.path.name in NAMELESS:
        yield "1: is named after nothing"


def init_only_reexports(source: Source) -> Iterator[str]:
    """An `__init__.py` is empty or a list of re-exports."""
    if source.path.name != "__init__.py":
        return
    for node in source.tree.body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if not (is_docstring or is_all or isinstance(node, ast.Import | ast.ImportFrom)):
            yield f"{node.lineno}: __init__.py holds more than re-exports"


def module_has_docstring(source: Source) -> Iterator[str]:
    """Every module says what lives in it."""
    if source.text.strip() and ast.get_docstring(source.tree) is None:
        yield "1: has no docstring"


def environment_read_in_one_place(source: Source) -> Iterator[str]:
    """Settings alone touch the environment, through the doors that hand it to them."""
    tree = source.tree
    if source.path.name in MAY_READ_ENVIRONMENT or _is_program(tree) or source.path.match(INHERITING_LAUNCHER):
        return
    handed_on = {
        id(argument)
        for call in _nodes(tree, ast.Call)
        if ast.unparse(call.func).endswith(".from_env")
        for argument in call.args
    }
    for node in _nodes(tree, ast.Attribute):
        reads = ast.unparse(node) in {"os.environ", "os.getenv"}
        if reads and id(node) not in handed_on:
            yield f"{node.lineno}: reads the environment"


def broad_except_has_comment(source: Source) -> Iterator[str]:
    """`except Exception` belongs to an outermost loop and says so; a bare except to nobody."""
    lines = source.text.splitlines()
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            yield f"{node.lineno}: bare except"
        elif "Exception" in ast.unparse(node.type).split(".")[-1:] and not _has_comment(lines, node.lineno):
            yield f"{node.lineno}: except Exception without a comment"


def no_fstring_in_log(source: Source) -> Iterator[str]:
    """A log message is a constant; facts go in extra."""
    for call in _nodes(source.tree, ast.Call):
        method = call.func
        is_log = isinstance(method, ast.Attribute) and method.attr in LOG_METHODS and _is_logger(method.value)
        if is_log and any(isinstance(argument, ast.JoinedStr) for argument in call.args):
            yield f"{call.lineno}: f-string in a log message"


def only_the_envelope_knows_cloudevents(source: Source) -> Iterator[str]:
    """One module translates the library."""
    if source.path.name == "envelope.py":
        return
    tree = source.tree
    imports = [(node.lineno, alias.name) for node in _nodes(tree, ast.Import) for alias in node.names]
    imports += [(node.lineno, node.module or "") for node in _nodes(tree, ast.ImportFrom)]
    for number, name in imports:
        if name.split(".")[0] == "cloudevents":
            yield f"{number}: imports cloudevents"


def functions_are_short(source: Source) -> Iterator[str]:
    """Fifty lines are the wall."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.end_lineno is None:
            continue
        first = node.body[0]
        is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0
        if node.end_lineno - node.lineno + 1 - docstring > LONGEST_FUNCTION:
            yield f"{node.lineno}: {node.name} is over {LONGEST_FUNCTION} lines"


def sql_lives_in_the_store(source: Source) -> Iterator[str]:
    """Functions reach the database through the store alone."""
    if "vexa_functions" not in source.path.parts or "store" in source.path.parts:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
            yield f"{node.lineno}: SQL outside the store"


def comments_have_no_history(source: Source) -> Iterator[str]:
    """A comment speaks of the code as it is."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if ISSUE_NUMBER.search(line) or PAST_TENSE.search(line):
            yield f"{number}: a comment tells history"


_SQL = re.compile(r"\s*(?:SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE)\b", re.DOTALL)
CODE_RULES: tuple[Rule, ...] = (
    no_nameless_module,
    init_only_reexports,
    module_has_docstring,
    environment_read_in_one_place,
    broad_except_has_comment,
    no_fstring_in_log,
    only_the_envelope_knows_cloudevents,
    functions_are_short,
    sql_lives_in_the_store,
    comments_have_no_history,
)
LONG = "def f():\n" + "    x = 1\n" * 60
BREACHES: tuple[tuple[Rule, str, str], ...] = (
    (no_nameless_module, "utils.py", ""),
    (init_only_reexports, "__init__.py", "VERSION = 1\n"),
    (module_has_docstring, "a.py", "x = 1\n"),
    (environment_read_in_one_place, "a.py", "import os\nx = os.environ['A']\n"),
    (environment_read_in_one_place, "a.py", "import os\nx = os.getenv('A')\n"),
    (broad_except_has_comment, "a.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    (broad_except_has_comment, "a.py", "try:\n    f()\nexcept:\n    pass\n"),
    (no_fstring_in_log, "a.py", "logger.info(f'took {n}')\n"),
    (only_the_envelope_knows_cloudevents, "a.py", "from cloudevents.http import CloudEvent\n"),
    (only_the_envelope_knows_cloudevents, "a.py", "import cloudevents\n"),
    (functions_are_short, "a.py", LONG),
    (sql_lives_in_the_store, "vexa_functions/bots/a.py", "Q = 'SELECT id FROM meetings'\n"),
    (comments_have_no_history, "a.py", "x = 1  # see issue #12\n"),
    (comments_have_no_history, "a.py", "x = 1  # previously 2\n"),
)
ALLOWED: tuple[tuple[Rule, str, str], ...] = (
    (init_only_reexports, "__init__.py", '"""Doc."""\nfrom a import b\n__all__ = ["b"]\n'),
    (environment_read_in_one_place, "a.py", "import os\ns = Settings.from_env(os.environ)\n"),
    (environment_read_in_one_place, "settings.py", "import os\nx = os.environ\n"),
    (environment_read_in_one_place, "a.py", "import os\nif __name__ == '__main__':\n    f(os.environ)\n"),
    (broad_except_has_comment, "a.py", "try:\n    f()\nexcept Exception:  # the outermost loop\n    pass\n"),
    (no_fstring_in_log, "a.py", "logger.info('took', extra={'s': f'{n}'})\n"),
    (functions_are_short, "a.py", "def f():\n" + '    """' + "doc\n" * 60 + '    """\n    return 1\n'),
    (sql_lives_in_the_store, "vexa_functions/store/a.py", "Q = 'SELECT id FROM meetings'\n"),
    (comments_have_no_history, "a.py", "x = '#1'  # the first of 12\n"),
)


@pytest.mark.parametrize("rule", CODE_RULES, ids=lambda rule: rule.__name__)
def test_the_rooms_keep_the_rule(rule: Rule) -> None:
    """Every Python file of every room keeps it."""
    found = [f"{one.path.relative_to(ROOT)}:{fault}" for one in sources(*ROOMS) for fault in rule(one)]

    assert found == []


@pytest.mark.parametrize(("rule", "name", "text"), BREACHES)
def test_a_breach_is_found(rule: Rule, name: str, text: str) -> None:
    """A rule that cannot fail protects nothing."""
    assert list(rule(Source(Path(name), text)))


@pytest.mark.parametrize(("rule", "name", "text"), ALLOWED)
def test_what_is_allowed_is_left_alone(rule: Rule, name: str, text: str) -> None:
    """A rule that cries wolf is soon switched off."""
    assert list(rule(Source(Path(name), text))) == []


def test_nothing_tracked_names_this_machine() -> None:
    """Paths and package hosts of one machine mean nothing on another."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix in TEXT_SUFFIXES and path != THIS_FILE
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if names_a_machine(line)
    ]

    assert found == []


@pytest.mark.parametrize("words", ["cd %work%main", "see %home%ann%vexa", "%Users%Ann%vexa"])
def test_a_path_of_one_machine_is_recognised(words: str) -> None:
    """So that the test above can fail; `%` stands for the slash, lest a path of a machine stand here."""
    assert names_a_machine(words.replace("%", "/"))


@pytest.mark.parametrize("line", ["--index-url https://x", "pip --find-links /x"])
def test_a_package_host_is_recognised(line: str) -> None:
    """So that the test above can fail."""
    assert names_a_machine(line)


def test_no_build_product_is_tracked() -> None:
    """What a tool can make again does not belong to the history."""
    found = [str(path.relative_to(ROOT)) for path in tracked() if {"__pycache__", ".venv", ".vexa"} & set(path.parts)]

    assert found == []


def names_a_machine(line: str) -> bool:
    return bool(MACHINE_PATH.search(line) or INDEX_HOST.search(line))


def _nodes(tree: ast.Module, kind: type[N]) -> Iterator[N]:
    return (node for node in ast.walk(tree) if isinstance(node, kind))


def _is_program(tree: ast.Module) -> bool:
    """Tell whether the module is run with `python -m`, as a `__main__.py` is."""
    return any("__name__" in ast.unparse(node.test) for node in _nodes(tree, ast.If))


def _is_logger(value: ast.expr) -> bool:
    return ast.unparse(value) in {"logger", "logging", "log"}


def _has_comment(lines: list[str], number: int) -> bool:
    comment = lines[number - 1].partition("#")[2].partition("noqa:")
    return bool(comment[0].strip() or " - " in comment[2])

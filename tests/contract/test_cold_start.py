"""What each function imports from its start to its first real answer, beside an empty functions-framework function."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.cold_start import SUCCESS, Asked, answer_of, empty_function, functions
from tests.benchmarks.stage import Databases, program
from tests.ports import free_port

AT_MOST = {"collector": 1.25, "webhooks": 1.25, "dead_letters": 1.25, "gateway": 1.3, "admin": 1.4, "bots": 1.4}
"""Modules, as a multiple of the empty function's; `tests.benchmarks.cold_start` tells of processor time."""
EXPORTER = "vexa_events.otlp"
"""Of spans; for where there is somewhere to export to."""
NEVER = {
    "aiohttp", "ctranslate2", "docker", "fastapi", "faster_whisper", "flask", "functions_framework", "httpx", "jinja2",
    "lightkube", "numpy", "prometheus_client", "sqlalchemy", "vexa_bot", "vexa_pool", "werkzeug",
}  # fmt: skip


async def test_no_function_imports_what_its_first_answer_does_without(
    postgres_url: str, valkey_url: str, tmp_path: Path
) -> None:
    """The answer needs the database; HTTP clients, the framework and what launches bots wait until they are used."""
    stores = Databases(postgres_url=postgres_url, valkey_url=valkey_url)
    empty, behind = empty_function(tmp_path), free_port()
    with program(empty.command([sys.executable], behind), {}, behind):
        asked = await functions(stores, behind=f"http://127.0.0.1:{behind}", folder=tmp_path)
        imported = {one.name: imported_by(one, tmp_path) for one in asked}

    bound = len(imported_by(empty, tmp_path))
    sizes = {name: len(modules) / bound for name, modules in imported.items()}
    assert {name: _packages(modules) & NEVER for name, modules in imported.items()} == {name: set() for name in AT_MOST}
    assert {name: size for name, size in sizes.items() if size > AT_MOST[name]} == {}
    assert {name for name, modules in imported.items() if EXPORTER in modules} == set()


def imported_by(one: Asked, folder: Path) -> set[str]:
    """Start a function, ask it once, and read what Python tells of its imports."""
    port, told = free_port(), folder / f"{one.name}.imports"
    command = one.command([sys.executable, "-X", "importtime"], port)
    env = {"PATH": os.environ["PATH"], **one.env}
    with told.open("wb") as log:
        process = subprocess.Popen(command, env=env, stderr=log, start_new_session=True)
    try:
        answer = answer_of(port, one.request(0))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert answer.startswith(SUCCESS), answer
    lines = [line for line in told.read_text().splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


def _packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}

"""What a container's cgroup tells of its memory."""

from pathlib import Path

import pytest

from vexa_bot.browser.memory import was_short_of_memory


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("memory.events", "low 0\nmax 7\noom 1\noom_kill 1\n", True),
        ("memory.events", "low 0\nmax 7\noom 0\noom_kill 0\n", False),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        ("memory/memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n", False),
        ("elsewhere", "oom_kill 1\n", False),
    ],
)
def test_a_kill_for_want_of_memory_is_known(tmp_path: Path, file: str, text: str, expected: bool) -> None:
    """In either version of cgroups; where there is neither, nothing is claimed."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)

    assert was_short_of_memory(tmp_path) is expected

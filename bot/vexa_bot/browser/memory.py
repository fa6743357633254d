"""Whether the kernel ended something of ours for want of memory: a browser's page goes without a word of why."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
FILES = ("memory.events", "memory/memory.oom_control")
"""Of both versions of cgroups; inside a container they tell of that container."""


def was_short_of_memory(cgroup: Path = CGROUP) -> bool:
    """Tell whether a process of this container was killed so; False where nothing tells."""
    for name in FILES:
        try:
            lines = (cgroup / name).read_text().splitlines()
        except OSError:
            continue
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)
    return False

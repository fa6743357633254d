"""Processes of a stand that nobody looks after any more."""

from collections.abc import Iterator, Mapping

import psutil

from vexa_local.leftovers import is_alive
from vexa_local.parts import Part

MARK = "VEXA_CHAOS_STAND"
"""A variable that every process of a stand inherits, bots included."""


def orphans(parts: Mapping[str, Part], stand: str) -> list[psutil.Process]:
    """List the living processes that carry a stand's mark and are no part of it."""
    cared_for = set(_cared_for(parts))
    return [process for process in psutil.process_iter() if process not in cared_for and _is_of(process, stand)]


def _cared_for(parts: Mapping[str, Part]) -> Iterator[psutil.Process]:
    """Postgres is a family; what the bots function started is to have ended."""
    for name, part in parts.items():
        try:
            process = psutil.Process(part.pid) if part.pid else None
            yield from [] if process is None else [process]
            yield from process.children(recursive=True) if process is not None and name == "postgres" else ()
        except psutil.NoSuchProcess:
            continue


def _is_of(process: psutil.Process, stand: str) -> bool:
    try:
        return process.environ().get(MARK) == stand and is_alive(process)
    except psutil.Error:
        return False

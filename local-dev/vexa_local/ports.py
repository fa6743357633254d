"""Which TCP port belongs to which part, and whether it is free."""

import errno
import socket
import time
from dataclasses import dataclass

from vexa_local.errors import StartFailed

LOOPBACK = "127.0.0.1"
MAX_OFFSET = 50_000
_GIVEN_UP_WITHIN_S = 2.0
"""A process that is just being started holds what its parent had open, for a moment, and one that ends lets go late."""
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of one stack; the defaults are the documented ones."""

    gateway: int = 8056
    admin: int = 8057
    bots: int = 8058
    dead_letters: int = 8059
    broker: int = 8060
    webhooks: int = 8061
    collector: int = 8123
    pool: int = 9090
    postgres: int = 5438
    valkey: int = 6388

    @classmethod
    def at_offset(cls, offset: int) -> "Ports":
        """Shift every port, so that several stacks run side by side."""
        if not 0 <= offset <= MAX_OFFSET:
            raise StartFailed(f"--port-offset must lie between 0 and {MAX_OFFSET}, got {offset}")
        default = cls()
        return cls(**{name: getattr(default, name) + offset for name in cls.__slots__})


def require_free(port: int, what: str, *, within_s: float = _GIVEN_UP_WITHIN_S) -> None:
    """Raise StartFailed where somebody has the port and keeps it."""
    deadline_s = time.monotonic() + within_s
    while (error := _bind_error(port)) is not None:
        if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline_s:
            raise StartFailed(
                f"port {port} ({what}) is taken; stop what listens there, or use other ports with --port-offset 100"
            ) from error
        time.sleep(_LOOK_EVERY_S)


def _bind_error(port: int) -> OSError | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as exc:
            return exc
    return None

"""The embedded Valkey: its data directory, its command line, its readiness."""

import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from vexa_local.packages import valkey_program
from vexa_local.ports import LOOPBACK

_PROBE_TIMEOUT_S = 1.0
_PING = b"PING\r\n"
_PONG = b"+PONG"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyServer:
    """One Valkey on the loopback interface; the caller alone uses `data_dir`."""

    data_dir: Path
    port: int
    durable: bool = True
    """True: a write is answered once it is on disk, which the Broker's 202 stands on."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        """Address database 0."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Create the data directory at the first start."""
        self.data_dir.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """Spell the command that serves in the foreground."""
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": str(self.data_dir),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "always",
            "save": "",
            "daemonize": "no",
            "loglevel": "warning",
        }
        return [str(valkey_program()), *(part for name, value in settings.items() for part in (f"--{name}", value))]

    def is_ready(self) -> bool:
        """Tell whether the server answers now: while it reads its files back it does not."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=_PROBE_TIMEOUT_S) as connection:
                connection.sendall(_PING)
                return connection.recv(64).startswith(_PONG)
        except OSError:
            return False

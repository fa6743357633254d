"""The embedded Postgres: its data directory, its command line, its readiness. No SQL lives here."""

import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from vexa_local.errors import StartFailed
from vexa_local.leftovers import command_of, stop_and_wait
from vexa_local.packages import postgres_program
from vexa_local.ports import LOOPBACK
from vexa_local.unprivileged import Identity, give_to, unprivileged_identity

USER = "vexa"
_INITDB_TIMEOUT_S = 60.0
_PROBE_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 15.0
_FORGETFUL = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """One Postgres on the loopback interface; the caller alone uses `data_dir`."""

    data_dir: Path
    port: int
    password: str
    durable: bool = True
    """False trades safety at a power cut for speed: for tests."""
    max_connections: int = 100

    name = "postgres"
    stop_signal = signal.SIGINT
    """Postgres calls this a fast shutdown: it ends sessions and writes a checkpoint."""

    @property
    def url(self) -> str:
        """Address the database that exists from the start."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Address any database of this server."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the data directory at the first start; free it from a killed server's lock."""
        identity = unprivileged_identity(postgres_program("postgres"))
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise(identity)
        give_to(identity, self.data_dir)
        self._release_lock()

    def command(self) -> list[str]:
        """Spell the command that serves in the foreground."""
        program = postgres_program("postgres")
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": str(self.max_connections),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        durability = [] if self.durable else [*_FORGETFUL]
        prefix = unprivileged_identity(program).prefix
        return [
            "env",
            "LC_ALL=C",
            *prefix,
            str(program),
            "-D",
            str(self.data_dir),
            "-p",
            str(self.port),
            *options,
            *durability,
        ]

    def is_ready(self) -> bool:
        """Tell whether the server takes connections now."""
        probe = subprocess.run(
            [postgres_program("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port), "-d", "postgres"],
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
        return probe.returncode == 0

    def _initialise(self, identity: Identity) -> None:
        """Run initdb beside the final place: a killed run leaves nothing half made."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.data_dir.parent, prefix="initdb-") as scratch:
            password_file = Path(scratch, "password")
            password_file.write_text(self.password)
            give_to(identity, Path(scratch))
            made = Path(scratch, "data")
            program = str(postgres_program("initdb"))
            command = ["env", "LC_ALL=C", *identity.prefix, program, "-D", str(made), *self._initdb_options()]
            done = subprocess.run(
                [*command, f"--pwfile={password_file}"],
                capture_output=True,
                text=True,
                timeout=_INITDB_TIMEOUT_S,
                check=False,
            )
            if done.returncode:
                raise StartFailed(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
            made.rename(self.data_dir)

    def _initdb_options(self) -> list[str]:
        sync = [] if self.durable else ["--no-sync"]
        return ["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions", *sync]

    def _release_lock(self) -> None:
        """Stop a server that outlived its supervisor; drop the lock of one that is gone."""
        lock = self.data_dir / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split("\n", 1)[0])
        if "postgres" in command_of(pid) and str(self.data_dir) in command_of(pid):
            stop_and_wait(psutil.Process(pid), self.stop_signal, timeout_s=_STOP_TIMEOUT_S)
        lock.unlink(missing_ok=True)

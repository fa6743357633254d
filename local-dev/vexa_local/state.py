"""The files that one local stack keeps, all below one folder that only its owner may read."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vexa_local.errors import StartFailed

CHECKOUT = Path(__file__).resolve().parents[2]
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Generated once per stack; nothing outside this machine knows them."""

    admin_api_key: str
    token_signing_key: str
    postgres_password: str


@dataclass(frozen=True, slots=True)
class State:
    """Where a stack keeps what."""

    folder: Path

    @classmethod
    def at_offset(cls, offset: int) -> "State":
        """Choose the folder: `.vexa` for the documented ports, one beside it for any other."""
        base = CHECKOUT / ".vexa"
        return cls(base / f"offset-{offset}" if offset else base)

    @property
    def name(self) -> str:
        """Return a name that no other stack of this machine has."""
        return f"vexa-local-{hashlib.sha256(bytes(self.folder)).hexdigest()[:12]}"

    @property
    def runtime_file(self) -> Path:
        """Where it stands what runs the bots, as long as there may be some."""
        return self.folder / "bot-runtime"

    @property
    def postgres_dir(self) -> Path:
        return self.folder / "postgres"

    @property
    def valkey_dir(self) -> Path:
        return self.folder / "valkey"

    @property
    def bots_dir(self) -> Path:
        return self.folder / "bots"

    @property
    def logs_dir(self) -> Path:
        return self.folder / "logs"

    @property
    def env_file(self) -> Path:
        return self.folder / "env"

    @property
    def processes_file(self) -> Path:
        return self.folder / "processes.json"

    def prepare(self) -> None:
        """Create the folders."""
        for folder in (*reversed(self.folder.parents), self.folder, self.bots_dir, self.logs_dir):
            folder.mkdir(exist_ok=True, mode=0o700)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack for as long as the block lasts; raise StartFailed where another process has it."""
        self.prepare()
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise StartFailed(f"a stack runs in {self.folder} already; use --port-offset for another one") from exc
            yield

    def is_running(self) -> bool:
        """Tell whether some process holds the stack now."""
        try:
            with self.locked():
                return False
        except StartFailed:
            return True

    def secrets(self) -> Secrets:
        """Return the secrets; the first call makes them."""
        file = self.folder / "secrets"
        known = read_env_file(file)
        wanted = {"ADMIN_API_KEY", "TOKEN_SIGNING_KEY", "POSTGRES_PASSWORD"}
        if missing := wanted - known.keys():
            known = {**known, **{name: secrets.token_urlsafe(_SECRET_BYTES) for name in missing}}
            write_env_file(file, known)
        return Secrets(
            admin_api_key=known["ADMIN_API_KEY"],
            token_signing_key=known["TOKEN_SIGNING_KEY"],
            postgres_password=known["POSTGRES_PASSWORD"],
        )


def read_env_file(file: Path) -> Mapping[str, str]:
    """Read KEY=value lines; a file that does not exist holds none."""
    if not file.exists():
        return {}
    lines = (line.partition("=") for line in file.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in lines}


def write_env_file(file: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step; only its owner may read it."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.writelines(f"{name}={value}\n" for name, value in values.items())
    fresh.replace(file)

"""What the benchmarks stand on: databases, functions as processes, and a meeting whose streams wait for batches."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.ports import free_port

from vexa_events.identity import StreamKind, Task
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted, Word
from vexa_functions.auth.api_keys import hash_api_key, key_prefix, new_api_key
from vexa_functions.store.migrate import migrate
from vexa_functions.store.tables import open_store
from vexa_local.postgres import PostgresServer
from vexa_local.servers import running
from vexa_local.valkey import ValkeyServer

SIGNING_KEY = "a signing key for a benchmark, 32 bytes or more"
STARTED_WITHIN_S = 60.0
WORDS = ["so", "the", "plan", "is", "that", "we", "ship", "on", "Friday", "unless", "the", "review"]
"""One second and a half of speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """Where they are."""

    postgres_url: str
    valkey_url: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres_url,
            "REDIS_URL": self.valkey_url,
            "TOKEN_SIGNING_KEY": SIGNING_KEY,
            "LOG_LEVEL": "WARNING",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """A session with streams in their first epoch."""

    meeting_id: int
    user_id: int
    session_uid: str
    stream_uids: tuple[str, ...]

    def batch(self, stream_uid: str, seq: int) -> TranscriptCommitted:
        """Make the next second and a half of a stream: one segment, every word timed."""
        from_s, until_s = 1.5 * seq, 1.5 * (seq + 1)
        words = tuple(
            Word(text=text, start_s=round(from_s + 0.12 * at, 3), end_s=round(from_s + 0.12 * at + 0.1, 3))
            for at, text in enumerate(WORDS)
        )
        segment = Segment(
            seq=seq, start_s=words[0].start_s, end_s=words[-1].end_s, text=" ".join(WORDS), language="en", words=words
        )
        return TranscriptCommitted(
            meeting_id=self.meeting_id,
            user_id=self.user_id,
            session_uid=self.session_uid,
            stream_uid=stream_uid,
            epoch=1,
            batch_seq=seq,
            from_s=from_s,
            until_s=until_s,
            spans=(Span(from_s=from_s, until_s=until_s, kind=SpanKind.SPEECH),),
            segments=(segment,),
        )


@contextmanager
def databases(*, durable: bool) -> Iterator[Databases]:
    """Run Postgres, migrated later, and Valkey; durable as local-dev has them, or forgetful and therefore fast."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres = PostgresServer(
            data_dir=folder / "postgres", port=free_port(), password="benchmark", durable=durable, max_connections=50
        )
        valkey = ValkeyServer(data_dir=folder, port=free_port(), durable=durable)
        with running(postgres, log_file=folder / "postgres.log"), running(valkey, log_file=folder / "valkey.log"):
            yield Databases(postgres_url=postgres.url, valkey_url=valkey.url)


async def open_meeting(databases: Databases, *, streams: int) -> Meeting:
    """Migrate, and add a meeting whose streams are in their first epoch."""
    await migrate(databases.postgres_url)
    async with open_store(databases.postgres_url, max_connections=1) as store, store.transaction() as tables:
        user = await tables.users.insert(email="bench@example.org", name=None, image_url=None, max_concurrent_bots=1)
        if user is None:
            raise SystemExit("the database is not empty")
        meeting = await tables.meetings.insert(user.id, platform="replay", native_meeting_id="bench", meeting_url=None)
        await tables.sessions.insert(
            "bench", meeting.id, bot_name="bench", language=None, task=Task.TRANSCRIBE, passcode=None
        )
        uids = tuple(f"bench.{number}" for number in range(streams))
        for uid in uids:
            await tables.streams.add(uid, "bench", kind=StreamKind.PARTICIPANT, start_s=0.0)
            await tables.streams.next_epoch(uid)
    return Meeting(meeting_id=meeting.id, user_id=user.id, session_uid="bench", stream_uids=uids)


async def new_key(databases: Databases, user_id: int) -> str:
    """Make a key of a user."""
    key = new_api_key()
    async with open_store(databases.postgres_url, max_connections=1) as store, store.transaction() as tables:
        await tables.tokens.insert(
            user_id, name=None, key_hash=hash_api_key(key), key_prefix=key_prefix(key), scopes=["user"], expires_at=None
        )
    return key


@contextmanager
def function(name: str, env: dict[str, str], port: int, *, core: int | None = None) -> Iterator[psutil.Process]:
    """Run a function as local-dev does, on one core where one is named."""
    with program([sys.executable, "-m", "vexa_functions", name, "--port", str(port)], env, port, core) as run:
        yield run


@contextmanager
def program(
    command: Sequence[str], env: dict[str, str], port: int, core: int | None = None
) -> Iterator[psutil.Process]:
    """Run a server until the block ends; it has started when its port answers."""
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **env}, start_new_session=True)
    watched = psutil.Process(process.pid)
    if core is not None:
        watched.cpu_affinity([core])
    try:
        deadline_s = time.monotonic() + STARTED_WITHIN_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"did not start: {' '.join(command)}")
            time.sleep(0.1)
        yield watched
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time that a process has used."""
    used = process.cpu_times()
    return float(used.user + used.system)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def say(line: str) -> None:
    """Print a line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

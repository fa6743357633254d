"""The whole stack as a user starts it, and a user of it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.telemetry import otlp_receiver
from tests.waiting import patiently

CHECKOUT = Path(__file__).resolve().parents[2]
SLOTS = "16"
"""One a participant of all meetings that tests attend at once."""
STARTED_WITHIN_S = 120.0
STOPPED_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack and its user's credentials, as `.vexa/env` tells them."""

    process: "subprocess.Popen[bytes]"
    env: dict[str, str]
    log: Path
    """What every process has printed so far."""
    spans: list[dict[str, Any]] = field(default_factory=list)
    """What every process has exported so far, as OTLP spells it; `service` beside it."""

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A user over HTTP."""

    api: httpx.Client

    def send_bot(self, native_meeting_id: str, **headers: str) -> int:
        """Send a bot to a recording; return the meeting's id."""
        wanted = {"platform": "replay", "native_meeting_id": native_meeting_id}
        answer = self.api.post("/bots", json=wanted, headers=headers)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def transcript(self, native_meeting_id: str) -> dict[str, Any]:
        """Read what is stored so far."""
        answer = patiently(lambda: self.api.get(f"/transcripts/replay/{native_meeting_id}"))
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    def wait(
        self, native_meeting_id: str, until: Callable[[dict[str, Any]], bool], *, timeout_s: float
    ) -> dict[str, Any]:
        """Read the transcript until it is as wanted."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            read = self.transcript(native_meeting_id)
            if until(read):
                return read
            time.sleep(0.5)
        pytest.fail(f"{native_meeting_id} is {read['status']} after {timeout_s} s: {read['coverage']}")

    def wait_until_finalized(self, native_meeting_id: str, *, timeout_s: float) -> dict[str, Any]:
        """Read the transcript once every stream of the ended session is stored, or will not be."""
        return self.wait(native_meeting_id, lambda read: bool(read["finalized"]), timeout_s=timeout_s)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory, meetings_dir: Path) -> Path:
    """A folder of recordings without a reference beside them; tests add their own."""
    folder = tmp_path_factory.mktemp("recordings")
    for meeting in meetings_dir.iterdir():
        for track in meeting.glob("track-*"):
            (folder / meeting.name).mkdir(exist_ok=True)
            shutil.copy(track, folder / meeting.name)
    return folder


@pytest.fixture(scope="session")
def stack(recordings: Path, free_port_offset: Callable[[], int]) -> Iterator[Stack]:
    """`./local-dev/up`, until the last test is done."""
    offset = free_port_offset()
    shutil.rmtree(state_dir(offset), ignore_errors=True)  # of a run that was killed
    with otlp_receiver() as (endpoint, spans):
        started = start_stack(offset, recordings, POOL_SLOTS=SLOTS, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        yield replace(started, spans=spans)
        stop_stack(started)
    shutil.rmtree(state_dir(offset))


@pytest.fixture(scope="session")
def reader(stack: Stack) -> Iterator[Reader]:
    """The user whose key `up` printed."""
    headers = {"x-api-key": stack.env["VEXA_API_KEY"]}
    with httpx.Client(base_url=stack.env["VEXA_API_URL"], headers=headers, timeout=30) as api:
        yield Reader(api=api)


def start_stack(offset: int, recordings: Path, **env: str) -> Stack:
    """Start `./local-dev/up` and wait until it has written its env file; `env` is what the caller's shell has set."""
    env_file = state_dir(offset) / "env"
    started_at = time.time()
    log = recordings / f"offset-{offset}.log"
    up = (str(CHECKOUT / "local-dev" / "up"), "--port-offset", str(offset))
    process = subprocess.Popen(
        ["bash", "-c", 'exec "${@:2}" > >(exec tee --append "$1") 2>&1', "bash", str(log), *up],
        env={**os.environ, "VEXA_REPLAY_DIR": str(recordings), **env},
        start_new_session=True,
    )
    deadline = time.monotonic() + STARTED_WITHIN_S
    while not env_file.exists() or env_file.stat().st_mtime < started_at:
        assert process.poll() is None, f"up ended with {process.returncode}"
        assert time.monotonic() < deadline, "up is not ready"
        time.sleep(0.2)
    lines = env_file.read_text().splitlines()
    return Stack(process=process, env=dict(line.split("=", 1) for line in lines if "=" in line), log=log)


def stop_stack(stack: Stack) -> None:
    """Tell it to end, and see that it does."""
    stack.process.send_signal(signal.SIGTERM)
    assert stack.process.wait(timeout=STOPPED_WITHIN_S) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}


def state_dir(offset: int) -> Path:
    return CHECKOUT / ".vexa" / f"offset-{offset}"


@pytest.fixture(scope="session")
def stack_control() -> object:
    """This module, for tests that start and stop a stack of their own."""
    return sys.modules[__name__]

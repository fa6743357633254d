"""A real meeting, attended by a browser in a container: the image, the Docker launcher and the whole stack at once."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import jiwer
import numpy as np
import pytest
from docker.models.containers import Container
from tests.recorded_voices import decode
from tests.waiting import patiently
from whisper_normalizer.english import EnglishTextNormalizer

CHECKOUT = Path(__file__).resolve().parents[2]
JANUS = Path(__file__).with_name("janus")
IMAGE = "vexa-bot:test"
BUILD_LIMIT_S = 400
STARTED_WITHIN_S = 120.0
ROOM = 2001
RATE_HZ = 16_000
LEAD_S = 3.0
"""The browser begins to play a file before anybody can hear it."""
MAX_WORD_ERROR_RATE = 0.1
MOST_WORDS_PER_S = 3
MOST_STARVED_S = 3.0
"""What browsers may fail to play or capture on a machine that others use too; the ledger tells of it."""
normalize = EnglishTextNormalizer()

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Island:
    """A network of its own, in which are Janus, people, the stack, and the containers of bots."""

    door: httpx.Client
    engine: docker.DockerClient
    label: str
    log: Path

    def containers(self) -> list[Container]:
        return self.engine.containers.list(all=True, filters={"label": self.label})

    def wait(self, until: Callable[[dict[str, Any]], object], *, timeout_s: float = 180) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = patiently(lambda: self.door.get(f"/api/transcripts/janus/{ROOM}@localhost:8000"))
            read: dict[str, Any] = answer.raise_for_status().json()
            if until(read):
                return read
            time.sleep(0.3)
        pytest.fail(f"{read['status']} after {timeout_s} s: {read['coverage']}\n{self.log.read_text()[-4_000:]}")


@pytest.fixture
def island(
    docker_base: str, tmp_path: Path, stack_control: Any, free_port_offset: Callable[[], int]
) -> Iterator[Island]:
    """Janus and a stack in the network of a container that only holds that network."""
    _require_programs()
    build = ["docker", "build", "--quiet", "--file", "bot/Dockerfile", "--tag", IMAGE, "."]
    subprocess.run(build, cwd=CHECKOUT, check=True, timeout=BUILD_LIMIT_S)
    deployment = f"test-{uuid.uuid4().hex}"
    offset = free_port_offset()
    env_file = stack_control.state_dir(offset) / "env"
    with contextlib.closing(docker.DockerClient()) as engine, contextlib.ExitStack() as ending:
        holder = engine.containers.run(docker_base, ["sleep", "600"], network_mode="none", detach=True)
        ending.callback(holder.remove, force=True)
        holder.reload()
        env = {
            "BOT_LAUNCHER": "docker",
            "BOT_IMAGE": IMAGE,
            "BOT_DEPLOYMENT": deployment,
            "BOT_KEEP_ENDED_S": "600",
            "BOT_SECCOMP_PROFILE": str(CHECKOUT / "bot" / "seccomp.json"),
            "CHROMIUM_SANDBOX": "true",
            "DOCKER_NETWORK": f"container:{holder.id}",
            "BOT_PLATFORMS": "janus",
            "BOT_SELF_HOSTED": "janus=localhost:8000",
        }
        network = [str(JANUS / "private-network"), "--of", str(holder.attrs["State"]["Pid"])]
        command = [str(JANUS / "stage.py"), str(tmp_path / "door"), str(tmp_path), str(offset), str(env_file)]
        log = ending.enter_context((tmp_path / "log").open("wb"))
        process = subprocess.Popen(
            [*network, sys.executable, *command], env={**os.environ, **env}, stdout=log, stderr=log
        )
        ending.callback(shutil.rmtree, stack_control.state_dir(offset), ignore_errors=True)
        ending.callback(process.wait, timeout=10)
        ending.callback(process.kill)
        key = _wait_for_key(process, tmp_path, env_file)
        transport = httpx.HTTPTransport(uds=str(tmp_path / "door"))
        door = httpx.Client(transport=transport, base_url="http://island", timeout=90, headers={"x-api-key": key})
        label = f"vexa.deployment={deployment}"
        with door:
            yield (island := Island(door=door, engine=engine, label=label, log=tmp_path / "log"))
            for container in island.containers():
                container.remove(force=True)


def test_two_people_in_a_room_are_heard_from_a_container(island: Island, tmp_path: Path, meetings_dir: Path) -> None:
    """
    Each one's words under the right name, but for what the ledger tells of, and the container has ended.

    The browser runs in its own sandbox, without which it would not start here.
    """
    said = {}
    island.door.post("/janus", json={"request": "create", "room": ROOM, "publishers": 6, "audiolevel_ext": True})
    asked = island.door.post("/api/bots", json={"meeting_url": f"http://localhost:8000/videoroomtest.html?room={ROOM}"})
    assert asked.status_code == 201, asked.text
    island.wait(lambda read: read["status"] == "active")
    for name in ("Joe", "Maya"):
        wav, said[name] = _record(meetings_dir / "standup", name, tmp_path)
        entered = island.door.put(f"/speakers/{name}", json={"room": ROOM, "display": name, "wav": str(wav)})
        assert entered.status_code == 204
    island.wait(lambda read: all(_count(read, name) >= len(text.split()) - 2 for name, text in said.items()))

    island.door.delete(f"/api/bots/janus/{ROOM}@localhost:8000")
    read = island.wait(lambda read: read["finalized"])

    (container,) = island.containers()
    assert container.wait(timeout=120)["StatusCode"] == 0
    assert {"CHROMIUM_SANDBOX=true", "CHROMIUM_SANDBOX=True"} & set(container.attrs["Config"]["Env"])
    assert any("SCMP_ACT_ERRNO" in option for option in container.attrs["HostConfig"]["SecurityOpt"])
    assert (read["status"], read["data"]["reason"]) == ("completed", "stopped_by_user")
    assert {gap["reason"] for gap in read["coverage"]["missing"]} <= {"capture_silent"}
    assert read["coverage"]["missing_s"] <= MOST_STARVED_S
    assert {segment["speaker"] for segment in read["segments"]} == {"Joe", "Maya"}
    for name, text in said.items():
        missing_s = sum(gap["end"] - gap["start"] for gap in read["coverage"]["missing"] if gap["speaker"] == name)
        most = MAX_WORD_ERROR_RATE + MOST_WORDS_PER_S * missing_s / len(text.split())
        assert jiwer.wer(normalize(text), normalize(_words(read, name))) <= most, _words(read, name)


def _require_programs() -> None:
    missing = [name for name in ("chromium", "janus", "ip", "nsenter") if shutil.which(name) is None]
    if not missing and os.geteuid() == 0:
        return
    if os.environ.get("CI"):
        subprocess.run([str(JANUS / "setup")], check=True, timeout=400)
        return
    pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}; as root, {JANUS / 'setup'} installs it")


def _wait_for_key(process: "subprocess.Popen[bytes]", folder: Path, env_file: Path) -> str:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while not (folder / "door").exists():
        assert process.poll() is None, (folder / "log").read_text()[-4_000:]
        assert time.monotonic() < deadline, (folder / "log").read_text()[-4_000:]
        time.sleep(0.2)
    lines = env_file.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["VEXA_API_KEY"]


def _record(meeting: Path, speaker: str, folder: Path) -> tuple[Path, str]:
    """Cut a speaker's first two lines out of a recorded meeting; return the file and the words."""
    lines = [
        line for line in json.loads((meeting / "reference.json").read_text())["lines"] if line["speaker"] == speaker
    ]
    track = decode(meeting / f"track-{speaker.lower()}.flac", rate_hz=RATE_HZ)
    pieces = [np.zeros(round(LEAD_S * RATE_HZ), np.int16)]
    for line in lines[:2]:
        pieces += [track[round((line["start"] - 0.1) * RATE_HZ) : round((line["end"] + 0.1) * RATE_HZ)]]
        pieces += [np.zeros(RATE_HZ, np.int16)]
    path = folder / f"{speaker}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate(pieces).tobytes())
    return path, " ".join(line["text"] for line in lines[:2])


def _words(read: dict[str, Any], speaker: str) -> str:
    return " ".join(segment["text"] for segment in read["segments"] if segment["speaker"] == speaker)


def _count(read: dict[str, Any], speaker: str) -> int:
    return len(_words(read, speaker).split())

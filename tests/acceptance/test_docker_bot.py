"""Bots in containers: the image is built, and the Docker launcher of a whole stack runs it on a real engine."""

import contextlib
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
import httpx
import jiwer
import pytest
from docker.models.containers import Container
from tests.waiting import patiently
from whisper_normalizer.english import EnglishTextNormalizer

IMAGE = "vexa-bot:test"
CHECKOUT = Path(__file__).resolve().parents[2]
BUILD_LIMIT_S = 400
MAX_IMAGE_MB = 1_150
MAX_ERRORS_PER_SPEAKER = 2
normalize = EnglishTextNormalizer()

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Harbour:
    """A stack whose bots are containers, its user, and the engine."""

    api: httpx.Client
    bots: httpx.Client
    engine: docker.DockerClient
    label: str
    leave: Callable[[], None]
    """Ends the stack as Ctrl-C does."""

    def containers(self, session_uid: str = "") -> list[Container]:
        wanted = [self.label, *([f"vexa.session={session_uid}"] if session_uid else [])]
        return self.engine.containers.list(all=True, filters={"label": wanted})

    def send_bot(self, native_meeting_id: str) -> dict[str, Any]:
        answer = self.api.post("/bots", json={"platform": "replay", "native_meeting_id": native_meeting_id})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def wait(
        self, native_meeting_id: str, until: Callable[[dict[str, Any]], object], *, timeout_s: float
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = patiently(lambda: self.api.get(f"/transcripts/replay/{native_meeting_id}"))
            read: dict[str, Any] = answer.raise_for_status().json()
            if until(read):
                return read
            time.sleep(0.3)
        pytest.fail(f"{native_meeting_id} is {read['status']} after {timeout_s} s: {read['coverage']}")

    def tick(self) -> None:
        """Do now what the clock would do within a minute."""
        assert self.bots.post("/internal/tick").status_code == 204


@pytest.fixture(scope="module")
def image(docker_base: str) -> str:
    """The bot's image, built from the checkout."""
    command = ["docker", "build", "--quiet", "--file", "bot/Dockerfile", "--tag", IMAGE, "."]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=BUILD_LIMIT_S)
    return IMAGE


@pytest.fixture(scope="module")
def harbour(
    image: str, stack_control: Any, meetings_dir: Path, free_port_offset: Callable[[], int]
) -> Iterator[Harbour]:
    """`./local-dev/up` with BOT_LAUNCHER=docker, until the last test is done; no container outlives it."""
    deployment = f"test-{uuid.uuid4().hex}"
    offset = free_port_offset()
    folder = stack_control.state_dir(offset).parent / f"recordings-{deployment}"
    _lay_out(meetings_dir, folder)
    stack = stack_control.start_stack(
        offset,
        folder,
        BOT_LAUNCHER="docker",
        BOT_IMAGE=image,
        BOT_DEPLOYMENT=deployment,
        DOCKER_NETWORK="host",
        BOT_KEEP_ENDED_S="0",
    )
    headers = {"x-api-key": stack.env["VEXA_API_KEY"]}
    with (
        contextlib.closing(docker.DockerClient()) as engine,
        httpx.Client(base_url=stack.env["VEXA_API_URL"], headers=headers, timeout=30) as api,
        httpx.Client(base_url=f"http://127.0.0.1:{8058 + offset}", timeout=30) as bots,
    ):
        label, leave = f"vexa.deployment={deployment}", partial(stack_control.stop_stack, stack)
        yield (sailing := Harbour(api=api, bots=bots, engine=engine, label=label, leave=leave))
        if stack.process.poll() is None:
            leave()
        for container in sailing.containers():
            container.remove(force=True)
    shutil.rmtree(folder)
    shutil.rmtree(stack_control.state_dir(offset))


def test_a_meeting_is_attended_from_a_container(harbour: Harbour, meetings_dir: Path) -> None:
    """Every word under the right speaker, every second accounted for, and no container left in the end."""
    before = len(harbour.containers())
    harbour.send_bot("standup")
    (container,) = harbour.containers()
    limits = container.attrs["HostConfig"]

    read = harbour.wait("standup", lambda read: read["finalized"], timeout_s=180)
    exit_code = container.wait(timeout=120)["StatusCode"]
    harbour.tick()

    assert (read["status"], exit_code, read["coverage"]["missing"]) == ("completed", 0, [])
    for speaker, spoken in _spoken(meetings_dir / "standup").items():
        heard = " ".join(segment["text"] for segment in read["segments"] if segment["speaker"] == speaker)
        measured = jiwer.process_words(normalize(spoken), normalize(heard))
        assert measured.substitutions + measured.deletions + measured.insertions <= MAX_ERRORS_PER_SPEAKER, heard
    assert (limits["ReadonlyRootfs"], limits["CapDrop"], limits["Memory"]) == (True, ["ALL"], 1024 * 1024 * 1024)
    assert len(harbour.containers()) == before


def test_a_stop_reaches_a_container(harbour: Harbour) -> None:
    """The user's stop ends the process in good order."""
    harbour.send_bot("design-review")
    (container,) = harbour.containers()
    harbour.wait("design-review", lambda read: read["segments"], timeout_s=180)

    stopped = harbour.api.delete("/bots/replay/design-review")
    read = harbour.wait("design-review", lambda read: read["finalized"], timeout_s=180)

    assert (stopped.status_code, read["status"], read["data"]["reason"]) == (202, "completed", "stopped_by_user")
    assert read["coverage"]["missing"] == []
    assert container.wait(timeout=120)["StatusCode"] == 0


def test_a_container_that_is_killed_is_told_from_its_exit(harbour: Harbour) -> None:
    """The meeting fails with the evidence, the user's slot is free, and the container goes."""
    harbour.send_bot("long-pause")
    harbour.wait("long-pause", lambda read: read["status"] == "active", timeout_s=180)
    (container,) = (each for each in harbour.containers() if each.status == "running")
    container.kill()
    container.wait(timeout=120)

    harbour.tick()
    read = harbour.wait("long-pause", lambda read: read["status"] == "failed", timeout_s=180)
    harbour.tick()

    assert read["data"]["reason"] == "bot_lost"
    assert harbour.api.get("/bots/status").json() == {"running_bots": []}
    assert harbour.containers() == []


def test_the_image_is_small_and_starts_a_browser_where_nothing_can_be_written(harbour: Harbour, image: str) -> None:
    """Chromium runs as nobody, without capabilities, on a read-only root with one folder in memory."""
    script = """
import asyncio, os
from playwright.async_api import async_playwright
async def main():
    async with async_playwright() as playwright:
        options = {"executable_path": os.environ["CHROMIUM_PATH"], "args": ["--no-sandbox", "--disable-gpu"]}
        context = await playwright.chromium.launch_persistent_context("/tmp/profile", **options)
        await context.pages[0].goto("data:text/html,<h1>hello</h1>")
        print(await context.pages[0].inner_text("h1"), os.getuid())
        await context.close()
asyncio.run(main())
"""

    said = harbour.engine.containers.run(
        image,
        ["python", "-c", script],
        remove=True,
        read_only=True,
        tmpfs={"/tmp": "rw,size=512m,mode=1777"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        mem_limit="1g",
        shm_size="256m",
        network_mode="none",
    )

    assert said.decode().split() == ["hello", "10001"]
    assert harbour.engine.images.get(image).attrs["Size"] < MAX_IMAGE_MB * 1_000_000


def test_no_container_outlives_the_stack(harbour: Harbour) -> None:
    """Whoever ends `up` in mid-meeting leaves nothing behind on the engine; the last test here."""
    harbour.send_bot("standup")
    (container,) = harbour.containers()
    harbour.wait("standup", lambda read: read["status"] == "active", timeout_s=180)

    harbour.leave()

    assert container.id not in {each.id for each in harbour.engine.containers.list(all=True)}
    assert harbour.containers() == []


def _lay_out(meetings: Path, folder: Path) -> None:
    """Copy the tracks to where the image's user may read them, and where a temporary folder would forbid it."""
    for meeting in meetings.iterdir():
        for track in meeting.glob("track-*"):
            (folder / meeting.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(track, folder / meeting.name)


def _spoken(meeting: Path) -> dict[str, str]:
    words: dict[str, list[str]] = {}
    for line in json.loads((meeting / "reference.json").read_text())["lines"]:
        words.setdefault(line["speaker"], []).append(line["text"])
    return {speaker: " ".join(lines) for speaker, lines in words.items()}

"""Real meetings: browsers that speak in Janus video rooms, and our bots among them, on the whole stack."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import httpx
import jiwer
import numpy as np
import psutil
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

CHECKOUT = Path(__file__).resolve().parents[2]
JANUS = Path(__file__).with_name("janus")
NEEDED = ("chromium", "janus", "ip", "unshare")
DEMOS = Path("/usr/share/janus/demos")
RATE_HZ = 16_000
LEAD_S = 3.0
"""The browser begins to play a file before anybody can hear it."""
PAUSE_S = 0.6
MAX_WORD_ERROR_RATE = 0.1
MOST_WORDS_PER_S = 3
MOST_STARVED_S = 3.0
"""What browsers may fail to play or capture on a machine that others use too; the ledger tells of it."""
STARTED_WITHIN_S = 120.0
WORKER_AWAY_S = 5.0
CROWD, LATE, DESTROYED, KILLED, LOCKED, UNKNOWN = 1001, 1002, 1003, 1004, 1005, 1999
normalize = EnglishTextNormalizer()

pytestmark = pytest.mark.slow


@dataclass
class Town:
    """The private network with all that runs in it, and a user of the API."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    door: httpx.Client
    sessions: dict[int, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def send_bot(self, room: int, **wanted: Any) -> None:
        url = f"http://localhost:8000/videoroomtest.html?room={room}"
        answer = self.door.post("/api/bots", json={"meeting_url": url, **wanted})
        assert answer.status_code == 201, answer.text
        self.sessions[room] = answer.json()["bot_container_id"].removeprefix("process:")

    def stop_bot(self, room: int) -> None:
        assert self.door.delete(f"/api/bots/janus/{room}@localhost:8000").status_code == 202

    def janus(self, request: str, room: int, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.door.post("/janus", json={"request": request, "room": room, **more}).json()
        assert "error" not in answer, answer
        return answer

    def create_room(self, room: int, **more: Any) -> None:
        self.janus("create", room, publishers=6, notify_joining=True, audiolevel_ext=True, **more)

    def enter(self, room: int, name: str, wav: Path) -> None:
        wanted = {"room": room, "display": name, "wav": str(wav)}
        assert self.door.put(f"/speakers/{room}-{name}", json=wanted).status_code == 204

    def leave(self, room: int, name: str) -> None:
        assert self.door.delete(f"/speakers/{room}-{name}").status_code == 204

    def transcript(self, room: int) -> dict[str, Any]:
        answer = self.door.get(f"/api/transcripts/janus/{room}@localhost:8000")
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    def wait(self, room: int, until: Callable[[dict[str, Any]], object], *, timeout_s: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            read = self.transcript(room)
            if until(read):
                return read
            time.sleep(0.3)
        pytest.fail(f"room {room} is {read['status']} after {timeout_s} s: {read['coverage']}\n{self.log[-4_000:]}")

    def wait_for_status(self, room: int, status: str) -> None:
        self.wait(room, lambda read: read["status"] == status)

    def wait_for_words(self, room: int, speaker: str, count: int) -> None:
        self.wait(room, lambda read: len(_words_of(read, speaker).split()) >= count)

    def path(self, room: int) -> list[str]:
        """The states that a bot went through, from its own log."""
        pattern = rf"status entered .*?session_uid={self.sessions[room]} .*?status=(\w+)"
        return re.findall(pattern, self.log)

    def processes(self, *words: str) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def bot(self, room: int) -> psutil.Process:
        uid = self.sessions[room]
        (bot,) = (each for each in self.processes("-m vexa_bot") if uid in each.environ()["VEXA_BOT_ORDER"])
        return bot


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory,
    stack_control: Any,
    meetings_dir: Path,
    free_port_offset: Callable[[], int],
) -> Iterator[Town]:
    """One private network with one stack and one Janus for every test here."""
    _require_programs()
    folder = tmp_path_factory.mktemp("town")
    offset = free_port_offset()
    env_file = stack_control.state_dir(offset) / "env"
    env_file.unlink(missing_ok=True)
    command = [sys.executable, str(JANUS / "stage.py"), str(folder / "door"), str(folder), str(offset), str(env_file)]
    added = {
        "VEXA_REPLAY_DIR": str(meetings_dir),
        "BOT_PLATFORMS": "janus",
        "BOT_SELF_HOSTED": "janus=localhost:8000",
        "FINALIZE_TIMEOUT_S": "20",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(JANUS / "private-network"), *command], env={**os.environ, **added}, stdout=log, stderr=log
        )
    try:
        _wait_for_door(process, folder)
        key = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)["VEXA_API_KEY"]
        transport = httpx.HTTPTransport(uds=str(folder / "door"))
        with httpx.Client(transport=transport, base_url="http://town", timeout=90, headers={"x-api-key": key}) as door:
            yield Town(process=process, folder=folder, door=door)
    finally:
        process.kill()
        process.wait(timeout=10)
        shutil.rmtree(stack_control.state_dir(offset), ignore_errors=True)


@dataclass
class Voices:
    """Files to speak from, and what they say."""

    meetings_dir: Path
    folder: Path

    def record(self, meeting: str, speaker: str, lines: Sequence[int]) -> tuple[Path, str]:
        """Cut some of a speaker's lines out of a recorded meeting."""
        source = self.meetings_dir / meeting
        reference = json.loads((source / "reference.json").read_text())["lines"]
        own = [line for line in reference if line["speaker"] == speaker]
        track = _decode(source / f"track-{speaker.lower()}.flac")
        pieces = [np.zeros(round(LEAD_S * RATE_HZ), np.int16)]
        for number in lines:
            first, last = own[number]["start"] - 0.1, own[number]["end"] + 0.1
            pieces += [track[round(first * RATE_HZ) : round(last * RATE_HZ)]]
            pieces += [np.zeros(round(PAUSE_S * RATE_HZ), np.int16)]
        path = self.folder / f"{meeting}-{speaker}-{'-'.join(map(str, lines))}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(np.concatenate(pieces).tobytes())
        return path, " ".join(own[number]["text"] for number in lines)


@pytest.fixture(scope="module")
def voices(meetings_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Voices:
    """People whose every word is known."""
    return Voices(meetings_dir, tmp_path_factory.mktemp("voices"))


@dataclass
class Attended:
    """A meeting that is over: what was read of it, and what was said."""

    read: dict[str, Any]
    said: dict[str, str]
    path: list[str]


@pytest.fixture(scope="module")
def crowd(town: Town, voices: Voices) -> Attended:
    """Two talk at once, a third comes late, one goes and comes back, and the pool's worker is away for a while."""
    joe, joe_said = voices.record("design-review", "Joe", [0, 5, 1])
    again, again_said = voices.record("standup", "Joe", [3])
    maya, maya_said = voices.record("standup", "Maya", [0, 1])
    ken, ken_said = voices.record("standup", "Ken", [0, 1])
    town.create_room(CROWD)
    town.send_bot(CROWD)
    town.wait_for_status(CROWD, "active")
    town.enter(CROWD, "Joe", joe)
    town.enter(CROWD, "Maya", maya)
    town.wait_for_words(CROWD, "Maya", 10)
    town.enter(CROWD, "Ken", ken)
    town.wait_for_words(CROWD, "Joe", len(joe_said.split()) - 2)
    town.leave(CROWD, "Joe")
    town.wait_for_words(CROWD, "Ken", 3)
    _keep_worker_away(town)
    town.enter(CROWD, "Joe", again)
    town.wait_for_words(CROWD, "Joe", len((joe_said + again_said).split()) - 1)
    town.wait_for_words(CROWD, "Ken", len(ken_said.split()) - 2)
    town.stop_bot(CROWD)
    read = town.wait(CROWD, lambda read: read["finalized"])
    for name in ("Joe", "Maya", "Ken"):
        town.leave(CROWD, name)
    said = {"Joe": f"{joe_said} {again_said}", "Maya": maya_said, "Ken": ken_said}
    return Attended(read, said, town.path(CROWD))


@pytest.fixture(scope="module")
def fates(town: Town, voices: Voices, crowd: Attended) -> dict[int, Attended]:
    """Five at once: begun late and then thrown out of, destroyed, lost with its bot, locked, and never begun."""
    assert crowd, "the two cores are free by now"
    recorded = {
        LATE: ("Nina", *voices.record("design-review", "Nina", [0])),
        DESTROYED: ("Joe", *voices.record("design-review", "Joe", [0])),
        KILLED: ("Nina", *voices.record("design-review", "Nina", [1, 2])),
    }
    for room in (DESTROYED, KILLED):
        town.create_room(room)
    town.create_room(LOCKED, pin="1234")
    town.send_bot(LOCKED)
    town.send_bot(UNKNOWN, automatic_leave={"waiting_room_s": 10})
    for room in recorded:
        town.send_bot(room)
    town.wait_for_status(LATE, "awaiting_admission")
    town.create_room(LATE)
    for room, (name, wav, _) in recorded.items():
        town.wait_for_status(room, "active")
        town.enter(room, name, wav)
    town.wait_for_words(KILLED, "Nina", 5)
    _kill_bot(town, KILLED)
    for room in (LATE, DESTROYED):
        name, _, said = recorded[room]
        town.wait_for_words(room, name, len(said.split()) - 2)
    present = town.janus("listparticipants", LATE)["participants"]
    (bot_id,) = (each["id"] for each in present if not each["publisher"])
    town.janus("kick", LATE, id=bot_id)
    town.janus("destroy", DESTROYED)
    read = {room: town.wait(room, lambda read: read["finalized"], timeout_s=120) for room in recorded}
    read |= {room: town.wait(room, lambda read: read["status"] == "failed") for room in (LOCKED, UNKNOWN)}
    for room, (name, _, _) in recorded.items():
        town.leave(room, name)
    spoken = {room: {name: text} for room, (name, _, text) in recorded.items()}
    return {room: Attended(read[room], spoken.get(room, {}), town.path(room)) for room in read}


def test_each_ones_words_are_read_under_the_right_name(crowd: Attended) -> None:
    """Though people talk at once, come late, come back, and the worker dies in mid-speech; nobody else appears."""
    _check_words(crowd)


def test_nothing_of_what_was_captured_is_missing(crowd: Attended) -> None:
    """The worker's absence costs no second, and whoever returns has a stream of their own."""
    ledger = crowd.read["coverage"]

    assert {gap["reason"] for gap in ledger["missing"]} <= {"capture_silent"}
    assert ledger["missing_s"] <= MOST_STARVED_S
    assert ledger["pending_s"] == 0.0
    assert sorted(stream["speaker"] for stream in ledger["streams"]) == ["Joe", "Joe", "Ken", "Maya"]


def test_the_worker_was_killed_in_mid_speech_and_people_did_talk_at_once(crowd: Attended) -> None:
    """Otherwise nothing was tested: one who spoke then has words of both epochs, and two have words of one moment."""
    spoken = {name: [each for each in crowd.read["segments"] if each["speaker"] == name] for name in crowd.said}

    assert {int(each["segment_id"].rsplit("-", 2)[1]) for each in spoken["Ken"]} >= {1, 2}
    assert any(
        one["start"] < other["end"] and other["start"] < one["end"] for one in spoken["Joe"] for other in spoken["Maya"]
    )


def test_a_stopped_bot_goes_through_every_state(crowd: Attended) -> None:
    """In order, and each once."""
    assert crowd.path == ["joining", "active", "stopping", "completed"]
    assert crowd.read["data"]["reason"] == "stopped_by_user"


def test_a_room_that_is_created_late_is_waited_for(fates: Mapping[int, Attended]) -> None:
    """Being thrown out of it later shows in the signalling only, and is told as what it is."""
    late = fates[LATE]

    assert late.path == ["joining", "awaiting_admission", "active", "stopping", "completed"]
    assert late.read["data"]["reason"] == "removed"
    assert late.read["coverage"]["missing"] == []
    _check_words(late)


def test_a_destroyed_room_ends_the_meeting(fates: Mapping[int, Attended]) -> None:
    """All that was said until then is kept."""
    destroyed = fates[DESTROYED]

    assert destroyed.path == ["joining", "active", "stopping", "completed"]
    assert destroyed.read["data"]["reason"] == "meeting_ended"
    assert destroyed.read["coverage"]["missing"] == []
    _check_words(destroyed)


def test_a_killed_bot_is_found_out_and_its_tail_is_explained(fates: Mapping[int, Attended]) -> None:
    """What nobody stored until then is shown as lost with the bot, and as nothing else."""
    read = fates[KILLED].read
    ledger = read["coverage"]

    assert (read["status"], read["data"]["reason"]) == ("failed", "bot_lost")
    (stream,) = ledger["streams"]
    tail = [hole["reason"] for hole in ledger["missing"] if hole["end"] > stream["stored_until"]]
    assert set(tail) <= {"bot_lost"}
    assert bool(tail) == (stream["stored_until"] < stream["captured_until"])
    assert ledger["pending_s"] == 0.0
    assert {segment["speaker"] for segment in read["segments"]} == {"Nina"}


def test_a_room_that_never_comes_to_be_is_told_as_that(fates: Mapping[int, Attended]) -> None:
    """After the time that the request allows for waiting."""
    unknown = fates[UNKNOWN]

    assert unknown.path == ["joining", "awaiting_admission", "failed"]
    assert unknown.read["data"]["reason"] == "room_not_found"


def test_a_room_that_asks_for_a_pin_is_told_as_that(fates: Mapping[int, Attended]) -> None:
    """Its page has no field for one."""
    locked = fates[LOCKED]

    assert locked.path == ["joining", "failed"]
    assert locked.read["data"]["reason"] == "wrong_passcode"


def test_the_network_needs_no_root_rights(town: Town) -> None:
    """An ordinary user of a laptop runs all this as well."""
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101 - nobody else may read the checkout, perhaps
        script = shutil.copy(JANUS / "private-network", folder)
        command = [*as_nobody, script, "ip", "-brief", "address", "show", "vm0"]
        shown = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=20, check=False)

    assert "10.77.0.1/24" in shown.stdout, shown.stderr


def test_nothing_is_left_running(town: Town, fates: Mapping[int, Attended]) -> None:
    """Neither a bot nor a browser outlives its meeting, however that ended."""
    assert len(fates) == 5

    deadline = time.monotonic() + 15
    while town.processes("-m vexa_bot") or town.processes("chromium"):
        assert time.monotonic() < deadline, [process.cmdline()[:3] for process in town.processes()]
        time.sleep(0.2)
    assert town.door.get("/api/bots/status").json() == {"running_bots": []}


def _check_words(attended: Attended) -> None:
    segments = attended.read["segments"]
    assert {segment["speaker"] for segment in segments} == attended.said.keys()
    for speaker, text in attended.said.items():
        heard = _words_of(attended.read, speaker)
        missing = (gap for gap in attended.read["coverage"]["missing"] if gap["speaker"] == speaker)
        told_missing = MOST_WORDS_PER_S * sum(gap["end"] - gap["start"] for gap in missing)
        most = MAX_WORD_ERROR_RATE + told_missing / len(text.split())
        assert jiwer.wer(normalize(text), normalize(heard)) <= most, (speaker, text, heard)


def _words_of(read: Mapping[str, Any], speaker: str) -> str:
    return " ".join(segment["text"] for segment in read["segments"] if segment["speaker"] == speaker)


def _keep_worker_away(town: Town) -> None:
    until = time.monotonic() + WORKER_AWAY_S
    killed = 0
    while time.monotonic() < until:
        for worker in town.processes("-m vexa_pool"):
            worker.kill()
            killed += 1
        time.sleep(0.1)
    assert killed, "no worker was running"


def _kill_bot(town: Town, room: int) -> None:
    bot = town.bot(room)
    browser = bot.children(recursive=True)
    bot.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(browser, timeout=10)
    assert not alive, "the browser outlived its bot"


def _require_programs() -> None:
    """On CI, install what is missing and insist; on a laptop, skip."""
    in_ci = os.environ.get("CI") == "true"
    if in_ci and _missing() and os.geteuid() == 0:
        subprocess.run([str(JANUS / "setup")], check=True, timeout=300)
    if missing := _missing():
        told = f"missing: {', '.join(missing)}; tests/acceptance/janus/setup installs them"
        pytest.fail(told) if in_ci else pytest.skip(told)


def _missing() -> list[str]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if not DEMOS.is_dir():
        missing.append("janus-demos")
    if not missing and subprocess.run([str(JANUS / "private-network"), "true"], check=False, timeout=20).returncode:
        missing.append("the right to make a network namespace")
    return missing


def _wait_for_door(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while not (folder / "door").exists():
        log = (folder / "log").read_text(errors="replace")[-3_000:]
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.2)


def _decode(path: Path) -> "np.ndarray[Any, np.dtype[np.int16]]":
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])

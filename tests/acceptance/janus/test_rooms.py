"""Real meetings: browsers that speak in Janus video rooms, and our bots among them, on the whole stack."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import psutil
import pytest
from tests.acceptance.janus.town import Town, words_of
from tests.acceptance.janus.voices import Voices
from whisper_normalizer.english import EnglishTextNormalizer

JANUS = Path(__file__).parent
MAX_WORD_ERROR_RATE = 0.1
MOST_WORDS_PER_S = 3
MOST_STARVED_S = 3.0
"""What browsers may fail to play or capture on a machine that others use too; the ledger tells of it."""
WORKER_AWAY_S = 5.0
MUTED_S = 3.0
CROWD, LATE, DESTROYED, KILLED, LOCKED, MUTED, UNKNOWN = 1001, 1002, 1003, 1004, 1005, 1006, 1999
normalize = EnglishTextNormalizer()

pytestmark = pytest.mark.slow


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
    read = {room: town.wait(room, lambda read: read["finalized"], timeout_s=180) for room in recorded}
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


def test_muted_time_is_told_from_silence(town: Town, voices: Voices, fates: Mapping[int, Attended]) -> None:
    """Of somebody whom a moderator muted between two sentences: both are read, and nothing of it is missing."""
    assert fates, "the two cores are free by now"
    before, before_said = voices.record("design-review", "Nina", [0])
    after, after_said = voices.record("design-review", "Nina", [1])
    town.create_room(MUTED)
    town.send_bot(MUTED)
    town.wait_for_status(MUTED, "active")
    town.enter(MUTED, "Nina", voices.silence())
    town.say(MUTED, "Nina", before)
    town.wait_for_words(MUTED, "Nina", len(before_said.split()) - 2)

    town.moderate(MUTED, "Nina", mute=True)
    town.wait(MUTED, lambda read: read["coverage"]["muted_s"] >= MUTED_S)
    town.moderate(MUTED, "Nina", mute=False)
    town.say(MUTED, "Nina", after)
    town.wait_for_words(MUTED, "Nina", len((before_said + after_said).split()) - 2)
    town.stop_bot(MUTED)
    read = town.wait(MUTED, lambda read: read["finalized"])
    town.leave(MUTED, "Nina")

    _check_words(Attended(read, {"Nina": f"{before_said} {after_said}"}, []))
    muted, spoken = read["coverage"]["muted"], [(each["start"], each["end"]) for each in read["segments"]]
    assert {gap["reason"] for gap in muted} == {"muted"}
    assert {gap["reason"] for gap in read["coverage"]["missing"]} <= {"capture_silent"}
    assert not any(start < gap["end"] and gap["start"] < end for gap in muted for start, end in spoken)
    assert spoken[0][0] < muted[0]["start"] < spoken[-1][1], "the sentences lie around it"
    assert read["coverage"]["silence_s"] >= 1.0, "what is only silence stays silence"


def test_the_network_needs_no_root_rights(town: Town) -> None:
    """An ordinary user of a laptop runs all this as well."""
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101 - nobody else may read the checkout, perhaps
        script = shutil.copy(JANUS / "private-network", folder)
        command = [*as_nobody, script, "ip", "-brief", "address", "show", "vm0"]
        shown = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False)

    assert "10.77.0.1/24" in shown.stdout, shown.stderr


def test_nothing_is_left_running(town: Town, fates: Mapping[int, Attended]) -> None:
    """Neither a bot nor a browser outlives its meeting, however that ended."""
    assert len(fates) == 5

    deadline = time.monotonic() + 60
    while town.processes("-m vexa_bot") or town.processes("chromium"):
        assert time.monotonic() < deadline, [process.cmdline()[:3] for process in town.processes()]
        time.sleep(0.2)
    assert town.door.get("/api/bots/status").json() == {"running_bots": []}


def _check_words(attended: Attended) -> None:
    segments = attended.read["segments"]
    assert {segment["speaker"] for segment in segments} == attended.said.keys()
    for speaker, text in attended.said.items():
        heard = words_of(attended.read, speaker)
        missing = (gap for gap in attended.read["coverage"]["missing"] if gap["speaker"] == speaker)
        told_missing = MOST_WORDS_PER_S * sum(gap["end"] - gap["start"] for gap in missing)
        most = MAX_WORD_ERROR_RATE + told_missing / len(text.split())
        assert jiwer.wer(normalize(text), normalize(heard)) <= most, (speaker, text, heard)


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

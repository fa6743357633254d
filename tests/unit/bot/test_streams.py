"""The streams of a session: facts in, tapes, tasks and attributions out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from vexa_bot.capture import AudioHeard, AudioMissed, SpeakerLearnt, StreamEnded, StreamFound
from vexa_bot.credential import Credential
from vexa_bot.epoch_talk import StreamIdentity, Tuning
from vexa_bot.replay_buffer import ReplayBuffer
from vexa_bot.reporter import Reporter
from vexa_bot.retry import Backoff
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_bot.stream_client import Link, StreamClient
from vexa_bot.streams import MAX_STREAMS, Streams
from vexa_bot.tape import Hole, Tape
from vexa_events.callbacks import Attribution, EpochOpened, OpenEpoch, StatusReport, StreamOpening
from vexa_events.identity import MissingReason, SessionUid, StreamKind, StreamUid, Task


class _Reports:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.attributions: list[Attribution] = []

    async def report_status(self, report: StatusReport) -> None:
        raise AssertionError(report)

    async def attribute(self, attribution: Attribution) -> None:
        self.attributions.append(attribution)


class _Scene:
    """Streams whose epochs open once `bots_are_up` is set, and whose pool is never reached."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.clients: list[StreamClient] = []
        self.reports = _Reports()
        self.reporter = Reporter(self.reports)
        self.buffer = ReplayBuffer(bytes_per_stream=10_000 * BYTES_PER_MS, max_bytes=10_000 * BYTES_PER_MS)
        self.bots_are_up = asyncio.Event()
        self.streams = Streams(
            SessionUid("session"),
            self._refused,
            tuning=Tuning(language=None, task=Task.TRANSCRIBE),
            buffer=self.buffer,
            reporter=self.reporter,
            new_client=self._client,
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        return task

    def find(self, key: str) -> None:
        self.streams.note(StreamFound(key=key, kind=StreamKind.PARTICIPANT, start_ms=0), self.spawn)

    def hear(self, key: str, from_ms: int, length_ms: int) -> None:
        samples = bytes(length_ms * BYTES_PER_MS)
        self.streams.note(AudioHeard(key=key, from_ms=from_ms, samples=samples), self.spawn)

    def learn(self, key: str, speaker: str) -> None:
        self.streams.note(SpeakerLearnt(key=key, speaker=speaker, evidence="tile"), self.spawn)

    def _client(self, stream_uid: StreamUid, kind: StreamKind, tape: Tape, tuning: Tuning) -> StreamClient:
        client = StreamClient(
            identity=StreamIdentity(
                session_uid=SessionUid("session"), stream_uid=stream_uid, credential=Credential("t")
            ),
            kind=kind,
            tape=tape,
            tuning=tuning,
            open_epoch=self._open_epoch,
            open_link=_no_link,
            backoff=Backoff(first_s=60, longest_s=60, random=lambda: 1.0),
        )
        self.clients.append(client)
        return client

    async def _open_epoch(self, wanted: OpenEpoch) -> EpochOpened:
        await self.bots_are_up.wait()
        return EpochOpened(epoch=1, resume_from_s=wanted.start_s)

    def _refused(self, why: str) -> None:
        raise AssertionError(why)


def _no_link() -> AbstractAsyncContextManager[Link]:
    raise AssertionError("nothing was heard that would have to be carried")


@pytest.fixture
async def scene() -> AsyncIterator[_Scene]:
    """A session without streams."""
    scene = _Scene()
    reporting = scene.spawn(scene.reporter.run())
    yield scene
    scene.streams.abandon()
    reporting.cancel()
    await asyncio.wait(scene.tasks)


async def settle(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_each_stream_has_a_number_under_the_sessions_uid(scene: _Scene) -> None:
    """The same order of finding gives the same uids."""
    scene.find("a")
    scene.find("b")
    scene.hear("b", 0, 500)

    assert {each.stream_uid: each.captured_until_s for each in scene.streams.reports()} == {
        "session.1": 0.0,
        "session.2": 0.5,
    }


async def test_a_key_that_returns_ends_the_stream_that_bore_it(scene: _Scene) -> None:
    """Somebody who joins again is a new stream, and nobody's audio is mixed up."""
    scene.find("a")
    scene.hear("a", 0, 500)
    scene.find("a")
    scene.hear("a", 2_000, 100)

    first, second = scene.clients
    assert (first.tape.is_finished, second.tape.is_finished) == (True, False)
    assert (first.tape.end_ms, second.tape.end_ms) == (500, 2_100)


async def test_streams_past_the_limit_are_ignored_with_all_that_is_told_about_them(scene: _Scene) -> None:
    """A heartbeat could not name them."""
    for number in range(MAX_STREAMS + 1):
        scene.find(str(number))
    scene.hear(str(MAX_STREAMS), 0, 100)

    assert len(scene.streams.reports()) == MAX_STREAMS
    assert scene.buffer.size_bytes == 0
    assert scene.streams.ignored == 1


async def test_streams_that_are_stored_make_room_for_others(scene: _Scene) -> None:
    """People come and go for hours; what the database has whole needs neither memory nor a report."""
    for number in range(3 * MAX_STREAMS):
        scene.find(str(number))
        scene.hear(str(number), 0, 100)
        scene.streams.note(StreamEnded(key=str(number)), scene.spawn)
        scene.clients[-1].tape.release(100)
    scene.find("last")
    scene.hear("last", 0, 500)

    reports = scene.streams.reports()
    assert (scene.streams.ignored, scene.buffer.size_bytes) == (0, 500 * BYTES_PER_MS)
    assert len(reports) == MAX_STREAMS
    assert (reports[0].stream_uid, reports[0].captured_until_s) == (f"session.{3 * MAX_STREAMS + 1}", 0.5)


async def test_a_stream_is_described_until_it_is_known(scene: _Scene) -> None:
    """What was heard of it counts, even if the bot does not get to open its first epoch."""
    scene.find("a")
    scene.hear("a", 0, 500)
    (unknown,) = scene.streams.reports()
    scene.bots_are_up.set()
    await settle(scene.clients[0].is_known.is_set)
    (known,) = scene.streams.reports()

    assert unknown.opening == StreamOpening(kind=StreamKind.PARTICIPANT, start_s=0.0)
    assert (known.opening, known.captured_until_s) == (None, 0.5)


async def test_a_name_is_reported_once_the_stream_is_known_and_a_better_one_with_a_higher_revision(
    scene: _Scene,
) -> None:
    """The bots function refuses names of streams that it does not know."""
    scene.find("a")
    scene.learn("a", "Somebody")
    scene.learn("a", "Ann")
    for _ in range(50):
        await asyncio.sleep(0)
    assert not scene.reports.attributions

    scene.streams.finish()
    scene.bots_are_up.set()
    await settle(lambda: len(scene.reports.attributions) == 2)

    assert [(each.revision, each.speaker) for each in scene.reports.attributions] == [(1, "Somebody"), (2, "Ann")]
    assert scene.clients[0].speaker == "Ann"


async def test_a_pause_in_capture_lies_on_the_tape_with_its_reason(scene: _Scene) -> None:
    """It reaches the pool in its place."""
    scene.find("a")
    scene.streams.note(AudioMissed(key="a", until_ms=700, reason=MissingReason.CAPTURE_SILENT), scene.spawn)

    assert scene.clients[0].tape.read(0, limit_ms=1) == Hole(
        from_ms=0, until_ms=700, reason=MissingReason.CAPTURE_SILENT
    )


async def test_only_what_the_database_lacks_counts_as_unstored(scene: _Scene) -> None:
    """Streams that ended with everything stored add nothing."""
    scene.find("a")
    scene.find("b")
    scene.hear("a", 0, 1_000)
    scene.hear("b", 0, 1_000)
    scene.clients[0].tape.release(1_000)
    scene.clients[1].tape.release(250)
    scene.streams.note(StreamEnded(key="a"), scene.spawn)

    assert scene.streams.unstored_s() == 0.75


async def test_a_stream_found_after_a_refusal_can_fall_back_on_what_worked_in_another(scene: _Scene) -> None:
    """Somebody who joins under an order that no worker takes does not end the session."""
    scene.find("a")
    worked = scene.clients[0].worked = Tuning(language="en", task=Task.TRANSCRIBE)
    scene.streams.retune(Tuning(language="de", task=Task.TRANSCRIBE))

    scene.find("b")
    scene.find("a")

    assert [client.worked for client in scene.clients] == [worked, worked, worked]


async def test_refusals_are_told_once_and_only_of_streams_with_audio_left(scene: _Scene) -> None:
    """They say why it was not stored."""
    for key, refusal in (("a", "English only"), ("b", "English only"), ("c", "no such task")):
        scene.find(key)
        scene.clients[-1].refusal = refusal
        scene.hear(key, 0, 1_000)
    scene.streams.note(StreamEnded(key="c"), scene.spawn)
    scene.clients[-1].tape.release(1_000)

    assert scene.streams.refusals() == ("English only",)

"""The streams of one session: what the platform tells about them, and the tasks that carry them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from vexa_bot.capture import AudioHeard, AudioMissed, SpeakerLearnt, StreamEnded, StreamFound
from vexa_bot.epoch_talk import Tuning, WorkerRefused
from vexa_bot.replay_buffer import ReplayBuffer
from vexa_bot.reporter import Reporter
from vexa_bot.session_clock import to_s
from vexa_bot.stream_client import StreamClient
from vexa_bot.tape import Tape
from vexa_events.callbacks import Attribution, StreamReport
from vexa_events.identity import SessionUid, StreamKind, StreamUid

logger = logging.getLogger(__name__)
MAX_STREAMS = 256
"""As many as a heartbeat can name, of which the database lacks something; those that it has whole are not counted."""
StreamFact = StreamFound | SpeakerLearnt | AudioHeard | AudioMissed | StreamEnded
NewClient = Callable[[StreamUid, StreamKind, Tape, Tuning], StreamClient]
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Streams:
    """Notes facts without waiting; the waiting happens in one task a stream."""

    def __init__(
        self,
        session_uid: SessionUid,
        refused: Callable[[str], None],
        *,
        tuning: Tuning,
        buffer: ReplayBuffer,
        reporter: Reporter,
        new_client: NewClient,
    ) -> None:
        """`refused` is told why no worker will ever serve a stream."""
        self._session_uid = session_uid
        self._tuning = tuning
        self._buffer = buffer
        self._reporter = reporter
        self._new_client = new_client
        self._refused = refused
        self.ignored = 0
        """Streams past the limit, of which nothing was carried."""
        self._clients: list[StreamClient] = []
        """Every stream's, in the order of finding; a key can come to name another."""
        self._client_by_key: dict[str, StreamClient] = {}
        self._revision_by_key: dict[str, int] = {}
        self._carriers: set[asyncio.Task[None]] = set()
        self._attributions: set[asyncio.Task[None]] = set()

    def note(self, fact: StreamFact, spawn: Spawn) -> None:
        """Take in one fact; `spawn` starts the tasks it calls for. Facts about streams past the limit are ignored."""
        if isinstance(fact, StreamFound):
            self._found(fact, spawn)
        elif client := self._client_by_key.get(fact.key):
            self._note_about(client, fact, spawn)

    def retune(self, tuning: Tuning) -> None:
        """Make every stream, and those to come, ask for this."""
        self._tuning = tuning
        for client in self._client_by_key.values():
            client.retune(tuning)

    def finish(self) -> None:
        """Note that capture is over in every stream."""
        for client in self._client_by_key.values():
            _finish(client)

    async def stored(self) -> None:
        """Wait until no stream has anything left to carry."""
        if self._carriers:
            await asyncio.wait(self._carriers)

    def abandon(self) -> None:
        """Stop every task, stored or not."""
        for task in self._carriers | self._attributions:
            task.cancel()

    def reports(self) -> tuple[StreamReport, ...]:
        """Tell how far each stream's audio reaches; of more than can be named, those that are stored go unsaid."""
        clients = sorted(self._clients, key=lambda client: client.tape.is_settled)
        return tuple(client.report() for client in clients[:MAX_STREAMS])

    def unstored_s(self) -> float:
        """Tell how much the database lacks, over all streams."""
        return to_s(sum(tape.end_ms - tape.stored_ms for tape in self._buffer.tapes.values() if not tape.is_settled))

    def dropped_s(self) -> float:
        """Tell how much was given up for want of room before it was stored, over all streams."""
        return to_s(self._buffer.dropped_ms)

    def refusals(self) -> tuple[str, ...]:
        """Tell what workers said that refuse streams with audio left to store, each text once."""
        said = (client.refusal for client in self._clients if not client.tape.is_settled)
        return tuple(dict.fromkeys(text for text in said if text))

    def declined(self) -> tuple[str, ...]:
        """Tell what workers said that refused a change with which no stream went on, each text once."""
        return tuple(dict.fromkeys(client.declined for client in self._clients if client.declined))

    def _found(self, fact: StreamFound, spawn: Spawn) -> None:
        number = len(self._buffer.tapes) + 1
        if sum(not tape.is_settled for tape in self._buffer.tapes.values()) >= MAX_STREAMS:
            self.ignored += 1
            logger.error("stream ignored, the session has too many", extra={"limit": MAX_STREAMS})
            return
        if before := self._client_by_key.get(fact.key):
            _finish(before)
        stream_uid = StreamUid(f"{self._session_uid}.{number}")
        tape = self._buffer.open(stream_uid, start_ms=fact.start_ms)
        client = self._new_client(stream_uid, fact.kind, tape, self._tuning)
        client.worked = self._worked()
        self._clients.append(client)
        self._client_by_key[fact.key] = client
        self._carriers.add(spawn(self._carry(client)))

    def _worked(self) -> Tuning | None:
        return next((client.worked for client in reversed(self._clients) if client.worked is not None), None)

    def _note_about(
        self, client: StreamClient, fact: SpeakerLearnt | AudioHeard | AudioMissed | StreamEnded, spawn: Spawn
    ) -> None:
        match fact:
            case AudioHeard():
                self._append(client, fact)
            case AudioMissed():
                client.tape.skip(fact.until_ms, fact.reason)
                client.wake()
            case StreamEnded():
                _finish(client)
            case SpeakerLearnt():
                client.speaker = fact.speaker
                self._attributions.add(spawn(self._attribute(client, fact)))

    def _append(self, client: StreamClient, fact: AudioHeard) -> None:
        was_whole = self._buffer.dropped_ms == 0
        self._buffer.append(client.identity.stream_uid, fact.from_ms, fact.samples)
        if was_whole and self._buffer.dropped_ms:
            logger.warning("replay buffer full, unstored audio is given up", extra={"bytes": self._buffer.size_bytes})
        client.wake()

    async def _carry(self, client: StreamClient) -> None:
        try:
            await client.run()
        except WorkerRefused as exc:
            self._refused(str(exc))

    async def _attribute(self, client: StreamClient, fact: SpeakerLearnt) -> None:
        revision = self._revision_by_key[fact.key] = self._revision_by_key.get(fact.key, 0) + 1
        await client.is_known.wait()
        await self._reporter.attribution(
            Attribution(
                stream_uid=client.identity.stream_uid,
                speaker=fact.speaker,
                revision=revision,
                evidence=fact.evidence,
            )
        )


def _finish(client: StreamClient) -> None:
    client.tape.finish()
    client.wake()

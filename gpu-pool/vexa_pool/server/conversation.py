"""One connection, from its first message to its close."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from vexa_events.errors import InvalidMessage, Overloaded, Unavailable, VexaError
from vexa_events.logs import context
from vexa_events.stream import (
    SAMPLE_RATE_HZ,
    AudioFrame,
    EndOfAudio,
    Hello,
    parse_client_frame,
    parse_hello,
    server_disconnect,
    server_error,
    server_ready,
    server_wait,
    server_warning,
)
from vexa_events.trace_context import TraceContext, read_context
from vexa_events.tracing import SpanKind, Tracer, note, span, traced_by
from vexa_pool.engine.model import Detector
from vexa_pool.server.audience import StreamAudience
from vexa_pool.server.bound_stream import BoundStream, check_binding
from vexa_pool.server.client_outbox import ClientOutbox, Unread
from vexa_pool.server.lane import StreamLane
from vexa_pool.server.publishing import Publication
from vexa_pool.server.samples import read_samples
from vexa_pool.server.services import Services
from vexa_pool.streaming.session import Session

E = TypeVar("E", bound=BaseException)
logger = logging.getLogger(__name__)

IDLE_TIMEOUT_S = 600.0
"""A client that sends nothing for this long gives up its slot."""
STORED_TIMEOUT_S = 120.0
"""After the end of audio, a bot's connection waits this long for the database."""
PARTING_TIMEOUT_S = 10.0
"""Then the bot has this long to close it."""
MOST_BACKLOG_S = 60.0
"""With more audio waiting to be decoded, the connection is not read: the sender keeps the rest."""
LOOK_EVERY_S = 1.0
"""A sender that is let wait falls behind meanwhile, which is looked at this often."""
WAIT_MINUTES = 1.0
PLAIN_CLIENTS = ""
"""The tenant of all who show no token."""
CLOSE_REFUSED = 1008
CLOSE_FAILED = 1011
CLOSE_TRY_LATER = 1013


class Conversation:
    """Serves one client."""

    def __init__(self, connection: ServerConnection, services: Services) -> None:
        self._connection = connection
        self._services = services
        self._uid = ""

    async def run(self) -> None:
        """Serve until either side ends it; a fault is named to the client."""
        try:
            await self._serve()
        except* ConnectionClosed:
            logger.debug("client went away")
        except* Unread as faults:
            self._hang_up(next(_leaves(faults)))
        except* VexaError as faults:
            await self._refuse(next(_leaves(faults)))
        except* Exception as faults:  # outermost loop of a connection: nobody foresaw this one
            logger.exception("connection failed", exc_info=faults)
            await self._refuse(Unavailable(f"the worker failed: {type(next(_leaves(faults))).__name__}"))

    async def _serve(self) -> None:
        hello = await self._hello()
        self._services.model.check(hello.language, hello.task)
        with self._services.slots.claim(), _traced(self._services.tracer, hello):
            try:
                await _Carriage(self._connection, self._services, hello).run()
            except* ConnectionClosed:
                logger.debug("client went away")

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(self._services.patience.hello_s):
                first = await self._connection.recv()
        except TimeoutError as exc:
            raise InvalidMessage(f"no first message within {self._services.patience.hello_s:g} s") from exc
        hello = parse_hello(first)
        self._uid = hello.uid
        if hello.binding is not None:
            context.set({"stream_uid": hello.binding.stream_uid, "session_uid": hello.binding.session_uid})
        return hello

    def _hang_up(self, fault: Unread) -> None:
        """End a connection without a word, for which there is no room in the client's buffers."""
        self._services.metrics.refused(type(fault).__name__)
        logger.warning("client does not read", extra={"reason": str(fault)})
        self._connection.transport.abort()

    async def _refuse(self, fault: VexaError) -> None:
        self._services.metrics.refused(type(fault).__name__)
        if isinstance(fault, Overloaded):
            message, code = server_wait(self._uid, WAIT_MINUTES), CLOSE_TRY_LATER
        else:
            message = server_error(self._uid, str(fault))
            code = CLOSE_FAILED if isinstance(fault, Unavailable) else CLOSE_REFUSED
        logger.info("connection refused", extra={"fault": type(fault).__name__, "reason": str(fault)})
        try:
            async with asyncio.timeout(PARTING_TIMEOUT_S):
                await self._connection.send(message)
                await self._connection.close(code)
        except (ConnectionClosed, TimeoutError):
            logger.debug("client went away")


class _Carriage:
    """Carries the audio of one accepted client."""

    def __init__(self, connection: ServerConnection, services: Services, hello: Hello) -> None:
        self._connection = connection
        self._services = services
        self._hello = hello
        self._bound = self._bind()
        self._outbox = ClientOutbox(hello, name_segment=self._bound.name_segment if self._bound else _unnamed)
        self._lane = StreamLane(
            self._session(),
            StreamAudience(hello.uid, self._outbox, self._bound, services.metrics),
            language=hello.language,
            task=hello.task,
            tenant=self._bound.tenant if self._bound else PLAIN_CLIENTS,
        )
        self._has_warned = False

    async def run(self) -> None:
        """Read until the audio ends, then see the rest off."""
        self._open()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write())
                watcher = tasks.create_task(self._lane.until(lambda: False))
                await self._read()
                ignorer = tasks.create_task(self._ignore_rest())
                await self._finish()
                for task in (writer, watcher, ignorer):
                    task.cancel()
            await self._connection.close()
        finally:
            session = self._lane.session
            note({"vexa.heard_s": session.end_s, "vexa.decided_s": session.committed_until_s})
            if self._bound is not None and self._services.storing is not None:
                self._bound.stop_showing()
                self._services.storing.lost_bots.take_over(self._lane, self._bound.publication)
            else:
                self._services.scheduler.remove(self._lane)

    def _open(self) -> None:
        self._outbox.note(server_ready(self._hello.uid))
        if not self._hello.use_vad:
            self._outbox.note(server_warning(self._hello.uid, "use_vad=false is ignored: pauses end segments here"))
        self._services.scheduler.add(self._lane)
        if self._bound is not None and self._services.storing is not None:
            with span("open stream", kind=SpanKind.SERVER, attributes=self._bound.facts):
                self._services.storing.publications.start(self._bound.publication)
        logger.info("stream opened", extra={"is_stored": self._bound is not None})

    async def _write(self) -> None:
        """Tell the client what there is; once it is gone, the reader still hears what it had sent."""
        try:
            await self._outbox.run(self._connection.send, unread_s=self._services.patience.unread_s)
        except ConnectionClosed:
            logger.debug("client hears no more")

    async def _read(self) -> None:
        detector = self._services.ears.detector()
        while True:
            await self._wait_for_room()
            asked_at_s = self._services.clock()
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    message = await self._connection.recv()
            except TimeoutError:
                self._outbox.note(server_disconnect(self._hello.uid))
                return
            frame = parse_client_frame(message, self._hello.audio_format)
            match frame:
                case EndOfAudio():
                    return
                case AudioFrame():
                    await self._hear(frame, detector, waited_s=self._services.clock() - asked_at_s)
                case gap:
                    detector.reset()
                    self._lane.gap(gap)
            self._services.scheduler.wake()

    async def _wait_for_room(self) -> None:
        """Let the sender wait while too much waits here; past the bound, give up the oldest."""
        while not self._has_room():
            since_s = self._services.clock()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._lane.until(self._has_room)
            if self._is_behind():
                self._lane.held_back.unread(self._services.clock() - since_s)
                self._lane.shed_beyond(self._services.max_lag_s)

    async def _hear(self, frame: AudioFrame, detector: Detector, *, waited_s: float) -> None:
        samples, silenced = read_samples(frame.samples, self._hello.audio_format)
        audio_s = samples.size / SAMPLE_RATE_HZ
        self._lane.held_back.received(audio_s, waited_s=waited_s)
        self._services.metrics.received(audio_s)
        if silenced and not self._has_warned:
            self._has_warned = True
            text = f"{silenced} values are not finite or far outside [-1, 1] and were taken as silence"
            self._outbox.note(server_warning(self._hello.uid, text))
        async for piece, probabilities in self._services.ears.listen(detector, samples):
            self._lane.feed(piece, probabilities)
            self._services.scheduler.wake()
        self._lane.shed_beyond(self._services.max_lag_s)

    async def _finish(self) -> None:
        self._lane.held_back.ended()
        if self._bound is not None:
            self._bound.publication.close()
        self._lane.finish()
        self._services.scheduler.wake()
        await self._lane.until(lambda: self._lane.session.is_drained)
        if self._bound is not None:
            await self._see_stored(self._bound.publication)
        await self._outbox.flushed()
        if self._bound is not None:
            await self._part()

    async def _see_stored(self, publication: Publication) -> None:
        try:
            async with asyncio.timeout(STORED_TIMEOUT_S):
                await self._lane.until(lambda: publication.pending.is_empty)
        except TimeoutError:
            logger.warning("stream not stored in time; its batches stay in charge of the worker")

    async def _part(self) -> None:
        """Leave the closing to the bot, which knows what it still wants."""
        try:
            async with asyncio.timeout(PARTING_TIMEOUT_S):
                await self._connection.wait_closed()
        except TimeoutError:
            logger.info("bot left the closing to the worker")

    async def _ignore_rest(self) -> None:
        """Notice a client that goes away before it has everything."""
        while True:
            await self._connection.recv()

    def _has_room(self) -> bool:
        if self._bound is not None and not self._bound.publication.pending.has_room:
            return False
        return not self._is_behind()

    def _is_behind(self) -> bool:
        return self._lane.session.backlog_s >= min(MOST_BACKLOG_S, self._services.max_lag_s / 2)

    def _session(self) -> Session:
        binding = self._hello.binding
        if binding is None:
            return Session()
        return Session(audio_from_s=binding.audio_from_s, from_s=binding.from_s, last_words=binding.last_words)

    def _bind(self) -> BoundStream | None:
        binding, storing = self._hello.binding, self._services.storing
        if binding is None:
            return None
        if storing is None:
            raise InvalidMessage("this worker stores nothing: send no stream_uid, or start it with K_SINK")
        claims = check_binding(binding, key=storing.token_signing_key)
        publication = Publication(
            binding.stream_uid,
            binding.epoch,
            clock=self._services.clock,
            on_change=self._acknowledged,
            trace=_trace_of(self._hello),
        )
        return BoundStream(binding, claims, publication, storing.feed, now=self._services.now)

    def _acknowledged(self, stored_until_s: float | None) -> None:
        if stored_until_s is not None:
            self._outbox.stored(stored_until_s)
        if self._bound is not None and (fence := self._bound.fence) is not None:
            self._lane.fail(fence)
        self._lane.changed()


def _traced(tracer: Tracer, hello: Hello) -> AbstractContextManager[object]:
    """Let a bot's stream belong to its session's trace; anybody else's connection has one of its own."""
    if hello.binding is not None:
        return traced_by(tracer, _trace_of(hello))
    return span("serve plain client", kind=SpanKind.SERVER, tracer=tracer)


def _trace_of(hello: Hello) -> TraceContext | None:
    return read_context(hello.binding.traceparent, hello.binding.tracestate) if hello.binding else None


def _unnamed(_: int) -> None:
    return None


def _leaves(group: BaseExceptionGroup[E]) -> Iterator[E]:
    for exception in group.exceptions:
        if isinstance(exception, BaseExceptionGroup):
            yield from _leaves(exception)
        else:
            yield exception

"""Builds a worker from its parts; the only place that knows them all."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import httpx

from vexa_events.publisher import SinkPublisher
from vexa_events.telemetry import open_tracer
from vexa_events.tracing import Tracer
from vexa_pool.engine.ears import Ears
from vexa_pool.engine.model import Detector, Model
from vexa_pool.engine.scheduler import Scheduler
from vexa_pool.engine.voice_detector import SileroDetector, load_voice_model
from vexa_pool.engine.whisper import THREADS, WhisperModel
from vexa_pool.server.deletion_cost import open_deletion_cost
from vexa_pool.server.listener import Listener
from vexa_pool.server.lost_bots import LostBots
from vexa_pool.server.metrics import PoolMetrics
from vexa_pool.server.publishing import Publications
from vexa_pool.server.recordings.door import RecordingsDoor
from vexa_pool.server.recordings.transcriber import Transcriber
from vexa_pool.server.services import Patience, Services, Storing
from vexa_pool.server.slots import Slots
from vexa_pool.server.valkey import Acknowledgements, LiveFeed, open_valkey
from vexa_pool.server.worker_load import WorkerLoad
from vexa_pool.settings import PoolSettings

logger = logging.getLogger(__name__)

SINK_TIMEOUT_S = 10.0
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - told from, not listened on
DRAIN_S = 10.0
"""How long a stopping worker tries to hand its last batches to the sink."""


def load_model(settings: PoolSettings) -> WhisperModel:
    """Load the model and decode once; blocks for seconds."""
    model = WhisperModel(
        settings.whisper_model,
        device=settings.whisper_device,
        compute_type=settings.whisper_compute_type,
        decode_batch=settings.decode_batch,
    )
    model.warm_up()
    return model


def silero_detectors() -> Callable[[], Detector]:
    """Load the voice detector; return what makes one for each stream."""
    network = load_voice_model()
    return lambda: SileroDetector(network)


@asynccontextmanager
async def open_worker(settings: PoolSettings, model: Model, new_detector: Callable[[], Detector]) -> AsyncIterator[int]:
    """Serve streams while the context lasts; yield the port."""
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        background: list[asyncio.Task[None]] = []
        stack.callback(_cancel, background)
        ears = Ears(new_detector)
        stack.callback(ears.close)
        metrics = PoolMetrics()
        tracer = open_tracer("pool", settings, count=metrics.spans)
        stack.push_async_callback(tracer.aclose)
        scheduler = Scheduler(model, threads=THREADS, meter=metrics)
        background.append(tasks.create_task(scheduler.run()))
        storing = await _open_storing(settings, scheduler, metrics, tracer, stack)
        if storing is not None:
            background.append(tasks.create_task(storing.feed.run()))
            background.append(tasks.create_task(storing.acknowledgements.run()))
        services = Services(
            model=model,
            ears=ears,
            scheduler=scheduler,
            slots=Slots(settings.slots),
            storing=storing,
            metrics=metrics,
            patience=Patience(hello_s=settings.hello_within_s, unread_s=settings.unread_after_s),
            tracer=tracer,
            max_lag_s=settings.max_lag_s,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
        )
        listener = Listener(services, ping_every_s=settings.ping_every_s, drain_s=settings.drain_s)
        metrics.watch(
            slots=lambda: 0 if listener.is_draining else services.slots.total,
            streams=lambda: services.slots.taken,
            unacknowledged=lambda: storing.publications.unacknowledged if storing else 0,
            lags_s=scheduler.lags_s,
        )
        if settings.pod_url is not None:
            cost = open_deletion_cost(
                lambda: services.slots.taken, pod_url=settings.pod_url, account_dir=settings.account_dir
            )
            background.append(tasks.create_task((await stack.enter_async_context(cost)).run()))
        port = await stack.enter_async_context(listener.listen(settings.host, settings.port))
        if settings.rest_port is not None:
            await stack.enter_async_context(_recordings(settings, services).listen(settings.host, settings.rest_port))
        if storing is not None:
            await stack.enter_async_context(_load(settings, storing, services, port).announced())
        logger.info(
            "worker is ready", extra={"port": port, "slots": settings.slots, "stores": settings.sink is not None}
        )
        yield port
        logger.info("worker is stopping")


async def _open_storing(
    settings: PoolSettings, scheduler: Scheduler, metrics: PoolMetrics, tracer: Tracer, stack: AsyncExitStack
) -> Storing | None:
    if settings.sink is None or settings.redis_url is None or settings.token_signing_key is None:
        return None
    client = await stack.enter_async_context(httpx.AsyncClient())
    valkey = open_valkey(settings.redis_url.get_secret_value())
    stack.push_async_callback(valkey.aclose)
    publisher = SinkPublisher(client, settings.sink, timeout_s=SINK_TIMEOUT_S, token_file=settings.sink_token_file)
    publications = Publications(publisher, metrics, tracer)
    stack.push_async_callback(publications.aclose, within_s=DRAIN_S)
    lost_bots = LostBots(scheduler, after_s=settings.lost_bot_after_s)
    stack.push_async_callback(lost_bots.aclose)
    return Storing(
        valkey=valkey,
        token_signing_key=settings.token_signing_key.get_secret_value(),
        publications=publications,
        acknowledgements=Acknowledgements(valkey, publications),
        feed=LiveFeed(valkey),
        lost_bots=lost_bots,
    )


def _recordings(settings: PoolSettings, services: Services) -> RecordingsDoor:
    key = settings.rest_api_key
    transcriber = Transcriber(services.model, services.ears, services.scheduler)
    return RecordingsDoor(transcriber, api_key=key.get_secret_value() if key else None, model=settings.whisper_model)


def _load(settings: PoolSettings, storing: Storing, services: Services, port: int) -> WorkerLoad:
    worker_id = settings.worker_id or f"{socket.gethostname()}:{port}"
    host = socket.gethostname() if settings.host in EVERY_ADDRESS else settings.host
    url = f"ws://{host}:{port}"
    return WorkerLoad(storing.valkey, services.model, services.slots, worker_id=worker_id, url=url)


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()

"""What a worker says about its slots, where bots are admitted."""

import asyncio
import socket
from collections.abc import Callable

import redis.asyncio as redis
from tests.waiting import DEADLINE_S

from vexa_events.identity import Task
from vexa_events.live import WORKER_LIFETIME_S, WORKER_PREFIX, WorkerSlots, worker_key
from vexa_events.session_token import MIN_KEY_BYTES
from vexa_pool.app import open_worker
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel
from vexa_pool.server.slots import Slots
from vexa_pool.server.worker_load import WorkerLoad
from vexa_pool.settings import PoolSettings

from .conftest import WORDS, StartWorker, Worker, bound_hello


class _Polyglot(ScriptedModel):
    """Refuses nothing."""

    def check(self, language: str | None, task: Task) -> None:
        """Raise nothing."""


async def slots_of(valkey: "redis.Redis", until: Callable[[WorkerSlots], bool]) -> WorkerSlots:
    """Wait for the only worker to say something."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            for key in await valkey.keys(f"{WORKER_PREFIX}*"):
                value = await valkey.get(key)
                if value is not None and until(told := WorkerSlots.model_validate_json(value)):
                    return told
            await asyncio.sleep(0.02)


async def test_a_worker_says_how_full_it_is(storing_worker: Worker, valkey: "redis.Redis") -> None:
    """The bots function reads slots and streams, and where the worker is."""
    idle = await slots_of(valkey, lambda told: True)

    client = await storing_worker.client(bound_hello())
    busy = await slots_of(valkey, lambda told: told.streams == 1)
    await client.connection.close()
    again = await slots_of(valkey, lambda told: told.streams == 0)

    assert idle.slots == busy.slots == again.slots == 8
    assert idle.url == f"ws://127.0.0.1:{storing_worker.port}"


async def test_a_worker_on_every_address_says_its_machines_name(
    start_worker: StartWorker, storing_env: dict[str, str], valkey: "redis.Redis"
) -> None:
    """In a container it listens on 0.0.0.0, where nobody else can reach it."""
    worker = await start_worker(**storing_env, HOST="0.0.0.0")

    told = await slots_of(valkey, lambda told: True)

    assert told.url == f"ws://{socket.gethostname()}:{worker.port}"


async def test_a_worker_says_what_its_model_takes(storing_worker: Worker, valkey: "redis.Redis") -> None:
    """A wish that no worker fulfils is refused before a bot is sent."""
    told = await slots_of(valkey, lambda told: True)

    assert (told.languages, told.tasks) == (("en",), (Task.TRANSCRIBE,))


async def test_a_model_that_takes_anything_sets_no_bound(valkey: "redis.Redis") -> None:
    """None stands for every language and task."""
    load = WorkerLoad(valkey, _Polyglot(()), Slots(1), worker_id="w-1", url="ws://127.0.0.1:9")
    async with load.announced():
        told = await slots_of(valkey, lambda told: True)

    assert (told.languages, told.tasks) == (None, None)


async def test_what_a_worker_said_expires(
    start_worker: StartWorker, storing_env: dict[str, str], valkey: "redis.Redis"
) -> None:
    """A worker that is killed offers no slot for long."""
    await start_worker(**storing_env, POOL_WORKER_ID="w-1")
    await slots_of(valkey, lambda told: True)

    assert 0 < await valkey.ttl(worker_key("w-1")) <= WORKER_LIFETIME_S


async def test_a_stopping_worker_offers_nothing(valkey: "redis.Redis", valkey_url: str) -> None:
    """Its key is gone at once, not after it has expired."""
    settings = PoolSettings.from_env(
        {
            "WHISPER_MODEL": "scripted",
            "PORT": "0",
            "REDIS_URL": valkey_url,
            "K_SINK": "http://127.0.0.1:9/",
            "TOKEN_SIGNING_KEY": "k" * MIN_KEY_BYTES,
        }
    )
    async with open_worker(settings, ScriptedModel(WORDS), LevelDetector):
        await slots_of(valkey, lambda told: True)

    assert await valkey.keys(f"{WORKER_PREFIX}*") == []

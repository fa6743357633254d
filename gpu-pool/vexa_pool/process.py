"""One worker as a process: starts, serves until told to stop, ends cleanly."""

import asyncio
import logging
import resource
import signal
from collections.abc import Mapping

from vexa_events.errors import VexaError
from vexa_events.logs import configure_logging
from vexa_pool.app import load_model, open_worker, silero_detectors
from vexa_pool.settings import PoolSettings

logger = logging.getLogger(__name__)


MOST_FILES = 65_536


async def serve(settings: PoolSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    model = await asyncio.to_thread(load_model, settings)
    detectors = await asyncio.to_thread(silero_detectors)
    async with open_worker(settings, model, detectors):
        await stop.wait()


def run(env: Mapping[str, str]) -> int:
    """Return the exit status: 0 after a clean stop, 2 where the settings are wrong."""
    configure_logging("INFO")
    try:
        settings = PoolSettings.from_env(env)
    except VexaError as exc:
        logger.error("worker cannot start", extra={"error": str(exc)})  # noqa: TRY400 - the message says it all
        return 2
    configure_logging(settings.log_level, quiet=("httpx", "httpcore", "websockets"))
    _allow_files()
    asyncio.run(serve(settings))
    return 0


def _allow_files() -> None:
    """Raise the bound on open files as far as we may: each connection is one, and 1,024 is the usual bound."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))

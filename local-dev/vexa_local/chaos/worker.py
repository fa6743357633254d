"""A pool worker that reads spelt audio: `python -m vexa_local.chaos.worker VOCABULARY_FILE`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from vexa_events.logs import configure_logging
from vexa_local.chaos.spelling import SpeltModel, read_vocabulary
from vexa_pool.app import open_worker
from vexa_pool.engine.scripted import LevelDetector
from vexa_pool.settings import PoolSettings


async def serve(settings: PoolSettings, vocabulary: tuple[str, ...]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_worker(settings, SpeltModel(vocabulary), LevelDetector):
        await stop.wait()


def main() -> int:
    """Run one worker with the settings of any worker."""
    settings = PoolSettings.from_env(os.environ)
    configure_logging(settings.log_level)
    asyncio.run(serve(settings, read_vocabulary(Path(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

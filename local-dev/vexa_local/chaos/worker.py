"""
A pool worker that reads spelt audio: `python -m vexa_local.chaos.worker VOCABULARY_FILE [SECONDS]`.

SECONDS is how long each reading takes: a worker that cannot keep up.
"""

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


async def serve(settings: PoolSettings, model: SpeltModel) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_worker(settings, model, LevelDetector):
        await stop.wait()


def main() -> int:
    """Run one worker with the settings of any worker."""
    settings = PoolSettings.from_env(os.environ)
    configure_logging(settings.log_level)
    file, takes_s = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    asyncio.run(serve(settings, SpeltModel(read_vocabulary(Path(file)), takes_s=takes_s)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the local Broker: `python -m vexa_local.broker`."""

import asyncio
import logging
import os
import sys

import uvicorn
import uvloop

from vexa_events.errors import VexaError
from vexa_events.logs import configure_logging
from vexa_local.broker.app import build
from vexa_local.broker.manifests import Directory, load_resources
from vexa_local.broker.resources import Resources
from vexa_local.broker.settings import BrokerSettings
from vexa_local.broker.work import DeadLetterFunction, open_deps, work

DEAD_LETTERS = "dead-letters"
"""The Service that keeps dead letters."""
logger = logging.getLogger("vexa_local.broker")


def main() -> int:
    """Serve until told to stop; return the exit status."""
    try:
        settings = BrokerSettings.from_env(os.environ)
        configure_logging(settings.log_level, quiet=("httpx", "httpcore", "uvicorn.error"))
        resources = read_manifests(settings)
        uvloop.run(serve(settings, resources))
    except VexaError as exc:
        sys.stderr.write(f"broker: {exc}\n")
        return 1
    return 0


def read_manifests(settings: BrokerSettings) -> Resources:
    """Read the manifests with the names that the settings resolve."""
    service_urls = {name: str(url) for name, url in settings.service_urls.items()}
    broker_url = f"http://{settings.host}:{settings.port}"
    return load_resources(settings.knative_dir, Directory(service_urls=service_urls, broker_url=broker_url))


def dead_letter_function(settings: BrokerSettings) -> DeadLetterFunction | None:
    """Return how to ask the dead letter function, where the settings tell both its place and the key."""
    url = settings.service_urls.get(DEAD_LETTERS)
    if url is None or settings.admin_api_key is None:
        return None
    return DeadLetterFunction(url=str(url), admin_key=settings.admin_api_key.get_secret_value())


async def serve(settings: BrokerSettings, resources: Resources) -> None:
    """Answer and work side by side; a fault in either ends both, and the process."""
    opened = open_deps(resources, redis_url=str(settings.redis_url), dead_letters=dead_letter_function(settings))
    async with opened as deps, asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work(deps))
        config = uvicorn.Config(
            build(deps), host=settings.host, port=settings.port, log_config=None, access_log=False, lifespan="off"
        )
        logger.info("broker serves", extra={"port": settings.port, "triggers": len(resources.triggers)})
        await uvicorn.Server(config).serve()
        working.cancel()


if __name__ == "__main__":
    sys.exit(main())

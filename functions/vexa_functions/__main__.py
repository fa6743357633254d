"""
Runs one function as images and local-dev do: `python -m vexa_functions collector --port 8123`.

It is uvicorn with what a cold start can do without left out: its command line,
WebSockets where a function has none, and the search for garbage among modules.
"""

import argparse
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

FUNCTIONS = ("admin", "bots", "collector", "dead_letters", "gateway", "webhooks")
WITH_SOCKETS = frozenset({"gateway"})
MAX_MESSAGE_BYTES = 256 * 1024
"""Of a WebSocket; more than the 64 Ki characters that an order may have."""


def main(arguments: Sequence[str], env: Mapping[str, str]) -> None:
    """Serve until told to end."""
    options = _options(arguments, env)
    gc.disable()  # importing leaves next to no garbage; looking for it would take a seventh of the start
    import uvicorn  # noqa: PLC0415 - after the line above

    from vexa_functions.hosting.protocol import BoundedHttp  # noqa: PLC0415

    config = uvicorn.Config(
        import_module(f"vexa_functions.{options.target}.asgi").app,
        host=options.host,
        port=options.port,
        http=BoundedHttp,
        ws="auto" if options.target in WITH_SOCKETS else "none",
        ws_max_size=MAX_MESSAGE_BYTES,
        proxy_headers=False,  # the gateway counts proxies itself; nobody else asks who calls
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=options.grace_s,
    )
    config.load()
    gc.freeze()  # what was imported stays: looking through it again and again is a tenth of a busy function's time
    gc.enable()
    uvicorn.Server(config).run()


def _options(arguments: Sequence[str], env: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vexa_functions", description="Run one function.")
    target = env.get("FUNCTION_TARGET")
    parser.add_argument("target", nargs="?", default=target, help="otherwise FUNCTION_TARGET")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=env.get("PORT", "8080"), help="otherwise PORT, or 8080")
    parser.add_argument("--grace-s", type=int, help="once told to end; unlimited if not given")
    options = parser.parse_args(arguments)
    if options.target not in FUNCTIONS:
        parser.error(f"name a function, or set FUNCTION_TARGET: {', '.join(FUNCTIONS)}")
    return options


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)

"""One bot process: `python -m vexa_bot`. Exits 0 when the session completed, else 1."""

import asyncio
import logging
import os
import sys

from vexa_bot.app import attend
from vexa_bot.bots_client import SessionRejected
from vexa_bot.settings import BotSettings
from vexa_events.errors import Conflict, InvalidMessage, Overloaded, Unavailable
from vexa_events.identity import BotStatus
from vexa_events.logs import configure_logging, context
from vexa_events.tracing import Tracer, traced_by

logger = logging.getLogger("vexa_bot")
CHATTY = ("httpx", "httpcore", "libav", "websockets")


def main() -> int:
    """Run the ordered session; return the exit code."""
    try:
        settings = BotSettings.from_env(os.environ)
    except InvalidMessage as exc:
        configure_logging("INFO")
        logger.error("settings refused", extra={"faults": str(exc)})  # noqa: TRY400 - the faults say it all
        return 1
    configure_logging(settings.log_level, quiet=CHATTY)
    context.set({"session_uid": settings.order.session_uid, "meeting_id": settings.order.meeting_id})
    with traced_by(Tracer(), settings.trace):
        return _run(settings)


def _run(settings: BotSettings) -> int:
    code = 1
    try:
        ending = asyncio.run(attend(settings))
        code = 0 if ending.status is BotStatus.COMPLETED else 1
    except* (SessionRejected, Conflict, Overloaded, Unavailable) as given_up:
        for cause in given_up.exceptions:
            logger.error("session given up", extra={"cause": str(cause)})  # noqa: TRY400 - a plain fact, no fault here
    except* Exception:  # the outermost door: whatever it is, the log must have it
        logger.exception("bot failed")
    return code


if __name__ == "__main__":
    sys.exit(main())

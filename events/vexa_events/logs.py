"""The log line of every process: one JSON object, with the facts that the door bound."""

import json
import logging
import sys
from collections.abc import Collection
from contextvars import ContextVar
from datetime import UTC, datetime

from vexa_events.tracing import current

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
context: ContextVar[dict[str, str | int]] = ContextVar("log_context", default={})  # noqa: B039 - replaced, never changed
"""Facts that go into every line of a task, such as stream_uid."""


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, context, extra."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_trace(),
            **context.get(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _trace() -> dict[str, str]:
    work = current()
    return {} if work is None else {"trace_id": work.trace_id, "span_id": work.span_id}


def configure_logging(level: str, *, quiet: Collection[str] = ()) -> None:
    """Send every record through one handler, of `quiet` loggers only warnings; call once, as the process starts."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for server in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(server).handlers.clear()
        logging.getLogger(server).propagate = True
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)

"""JSON lines on standard output, each naming the session."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, the process's facts, the record's own."""

    def __init__(self, facts: Mapping[str, str | int]) -> None:
        super().__init__()
        self._facts = facts

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._facts,
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str, facts: Mapping[str, str | int]) -> None:
    """Send every record of the process through one handler; call once, at its start."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(facts))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "libav", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

"""Numbers, texts and times from paths and query strings, checked."""

from collections.abc import Collection
from datetime import UTC, datetime

from starlette.requests import Request

from vexa_events.errors import InvalidMessage, NotFound

_MAX_DIGITS = 18
MAX_ROW_ID = 10**_MAX_DIGITS - 1
_MAX_TEXT = 255
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""Closer to the edges of time there is no room for offsets and margins."""


def row_id_in_path(request: Request, name: str = "id") -> int:
    """Read a row id from the path; what is no number names no row."""
    text = request.path_params[name]
    if not _is_number(text):
        raise NotFound(f"no row {text!r}")
    return int(text)


def row_id_in_query(request: Request, name: str) -> int | None:
    """Read a row id from the query string, where it is given."""
    text = _given(request, name)
    if text is not None and not _is_number(text):
        raise InvalidMessage(f"{name}: must be a whole number")
    return None if text is None else int(text)


def number_in_query(request: Request, name: str, *, default: int, least: int = 0, most: int) -> int:
    """Read a bounded number from the query string."""
    given = _given(request, name)
    text = str(default) if given is None else given
    if not _is_number(text) or not least <= int(text) <= most:
        raise InvalidMessage(f"{name}: must be a whole number from {least} to {most}")
    return int(text)


def text_in_path(request: Request, name: str, *, most: int = _MAX_TEXT) -> str:
    """Read a bounded text from the path that Postgres can hold."""
    text: str = request.path_params[name]
    _check_text(name, text, most=most)
    return text


def text_in_query(request: Request, name: str, *, most: int = _MAX_TEXT) -> str | None:
    """Read a bounded text from the query string, where it is given."""
    text = _given(request, name)
    if text is not None:
        _check_text(name, text, most=most)
    return text


def choice_in_query(request: Request, name: str, choices: Collection[str]) -> str | None:
    """Read one of a closed set from the query string, where it is given."""
    text = _given(request, name)
    if text is not None and text not in choices:
        raise InvalidMessage(f"{name}: must be one of {', '.join(sorted(choices))}")
    return text


def time_in_query(request: Request, name: str) -> datetime | None:
    """Read a moment from the query string, where it is given; a plus sign that was read as a space is one again."""
    text = _given(request, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError as exc:
        raise InvalidMessage(f"{name}: must be a time such as 2026-01-31T12:00:00Z") from exc
    if moment.tzinfo is None:
        raise InvalidMessage(f"{name}: must say its time zone, as in 2026-01-31T12:00:00Z")
    if not EARLIEST <= moment < LATEST:
        raise InvalidMessage(f"{name}: must lie between the years 1900 and 9999")
    return moment.astimezone(UTC)


def _given(request: Request, name: str) -> str | None:
    """Return what the query string says of a name, once: of two values, two readers might take different ones."""
    given = request.query_params.getlist(name)
    if len(given) > 1:
        raise InvalidMessage(f"{name}: is given twice")
    return given[0] if given else None


def _check_text(name: str, text: str, *, most: int) -> None:
    if not 1 <= len(text) <= most:
        raise InvalidMessage(f"{name}: must have 1 to {most} characters")
    if "\x00" in text or not _is_unicode(text):
        raise InvalidMessage(f"{name}: must not contain NUL, half a character, or bytes that are not UTF-8")


def _is_unicode(text: str) -> bool:
    """Tell whether a text was spelled in UTF-8; what was not comes with U+FFFD in its place."""
    return not any("\ud800" <= character <= "\udfff" or character == "\ufffd" for character in text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS

"""Numbers from paths and query strings, checked."""

from starlette.requests import Request

from vexa_events.errors import InvalidMessage, NotFound

_MAX_DIGITS = 18


def row_id_in_path(request: Request, name: str = "id") -> int:
    """Read a row id from the path; what is no number names no row."""
    text = request.path_params[name]
    if not _is_number(text):
        raise NotFound(f"no row {text!r}")
    return int(text)


def row_id_in_query(request: Request, name: str) -> int | None:
    """Read a row id from the query string, where it is given."""
    text = request.query_params.get(name)
    if text is not None and not _is_number(text):
        raise InvalidMessage(f"{name}: must be a whole number")
    return None if text is None else int(text)


def number_in_query(request: Request, name: str, *, default: int, least: int = 0, most: int) -> int:
    """Read a bounded number from the query string."""
    text = request.query_params.get(name, str(default))
    if not _is_number(text) or not least <= int(text) <= most:
        raise InvalidMessage(f"{name}: must be a whole number from {least} to {most}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS

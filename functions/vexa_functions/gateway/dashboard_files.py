"""The dashboard's files: static, beside this module, under a policy that lets nothing else in."""

import hashlib
from functools import cache
from pathlib import Path
from types import MappingProxyType

from starlette.responses import Response

from vexa_events.errors import NotFound

FOLDER = Path(__file__).with_name("dashboard")
PAGE = "index.html"
MEDIA_TYPES = MappingProxyType(
    {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
)
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cache-Control": "no-cache",
        "Vary": "Accept",
    }
)


def wants_page(accept: str | None) -> bool:
    """Tell whether a caller is a browser that opens a page."""
    return any(part.partition(";")[0].strip().lower() == "text/html" for part in (accept or "").split(","))


def dashboard_file(name: str, known_tag: str | None) -> Response:
    """Answer a file, or 304 where the caller has it; raise NotFound for any name that is not one of ours."""
    if name not in _names():
        raise NotFound(f"no file {name[:100]!r}")
    content, tag = _read(name)
    headers = {**HEADERS, "ETag": tag}
    if known_tag == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)


@cache
def _names() -> frozenset[str]:
    return frozenset(file.name for file in FOLDER.iterdir() if file.suffix in MEDIA_TYPES)


@cache
def _read(name: str) -> tuple[bytes, str]:
    content = (FOLDER / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'

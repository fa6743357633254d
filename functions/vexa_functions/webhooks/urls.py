"""
Receivers' addresses as users write them, read by the parser that will post there.

It comes with an HTTP client, which only a user's change and a delivery need:
import this where it is used.
"""

import re
import socket

import httpx

from vexa_functions.webhooks.addresses import Address, is_loopback, is_public, parse_address

_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+")


def sound_url(url: str) -> str:
    """Return the URL without its fragment; raise ValueError for what cannot be posted to."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise ValueError(f"is not a URL: {exc}") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host:
        raise ValueError("must be an absolute http or https URL")
    if not _HOST.fullmatch(parsed.host):
        raise ValueError("must name a host by letters, digits, dots, hyphens and underscores, or by its address")
    if parsed.userinfo:
        raise ValueError("must not hold a user name or a password")
    if parsed.port is not None and not 1 <= parsed.port <= 65_535:
        raise ValueError("must name a port from 1 to 65535, or none")
    return str(parsed.copy_with(fragment=None))


def names_refused_address(url: str, *, allow_loopback: bool) -> bool:
    """Tell whether the host is an address that is never reached; what a name leads to is checked at every sending."""
    address = _literal(httpx.URL(url).raw_host.decode("ascii"))
    return address is not None and not is_public(address) and not (allow_loopback and is_loopback(address))


def _literal(host: str) -> Address | None:
    """Read a host that is an address, in any spelling that a resolver takes; None for a name."""
    if host.rstrip(".").lower().rpartition(".")[2] == "localhost":
        return parse_address("127.0.0.1")
    try:
        found = socket.getaddrinfo(host.rstrip("."), None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return parse_address(str(found[0][4][0]))

"""
An HTTP transport that reaches the public internet alone.

A name is resolved once, every address it has is checked, and the connection
goes to a checked address, so a name that resolves differently a moment later
changes nothing. Host header, SNI and the certificate's name stay the URL's.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence

import httpx

from vexa_events.errors import InvalidMessage
from vexa_functions.webhooks.addresses import Address, is_loopback, is_public, parse_address

RESOLVE_TIMEOUT_S = 5.0
MAX_ADDRESSES = 3
"""Addresses of one name that are tried."""
MAX_CONNECTIONS = 50

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Ask the system's resolver, IPv4 first; raise OSError where the name has no address."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=6)
    addresses = dict.fromkeys(parse_address(str(info[4][0])) for info in found)
    return sorted(addresses, key=lambda address: address.version)


class PublicTransport(httpx.AsyncBaseTransport):
    """Refuses every request whose name has an address that is not public."""

    def __init__(self, *, allow_loopback: bool, resolver: Resolve = resolve, tls: ssl.SSLContext | bool = True) -> None:
        """`tls` is what certificates are checked against."""
        self._allow_loopback = allow_loopback
        self._resolver = resolver
        # Connections are never kept: kept ones are found by address, and one address can serve many names.
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raise InvalidMessage for an address that is not allowed, an httpx error where nothing answers."""
        host = request.url.raw_host.decode("ascii")
        addresses = await self._checked_addresses(host, request.url.port or 0)
        request.extensions = {**request.extensions, "sni_hostname": host.rstrip(".")}
        refused: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for address in addresses:
            request.url = request.url.copy_with(host=str(address))
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                refused = exc
        raise refused or httpx.ConnectError("the name has no address")

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _checked_addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                addresses = await self._resolver(host, port)
        except (OSError, UnicodeError, TimeoutError) as exc:
            raise httpx.ConnectError("the name of the receiver does not resolve") from exc
        if not all(self._is_allowed(address) for address in addresses):
            raise InvalidMessage("the receiver's address is not on the public internet")
        return addresses[:MAX_ADDRESSES]

    def _is_allowed(self, address: Address) -> bool:
        return is_public(address) or (self._allow_loopback and is_loopback(address))

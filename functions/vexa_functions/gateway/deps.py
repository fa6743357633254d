"""The gateway's graph: the one place where its parts meet."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from vexa_functions.gateway.access import Access
from vexa_functions.gateway.authentication import Authenticator
from vexa_functions.gateway.limits import Limit, Limiter
from vexa_functions.gateway.live.ring import Rings
from vexa_functions.gateway.live.watching import LiveDeps, Places
from vexa_functions.gateway.settings import GatewaySettings
from vexa_functions.gateway.upstream import Upstream
from vexa_functions.live_feed import LiveReader, open_valkey
from vexa_functions.store.tables import open_store

SPARE_CONNECTIONS = 20
"""To Valkey, beside the one that each watched meeting is read on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDeps:
    """What requests need."""

    access: Access
    upstreams: Mapping[str, Upstream]
    live: LiveDeps


@asynccontextmanager
async def open_deps(settings: GatewaySettings) -> AsyncIterator[GatewayDeps]:
    """Put the gateway together."""
    url = str(settings.database_url)
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(open_store(url, max_connections=settings.auth_connections))
        store = await stack.enter_async_context(open_store(url, max_connections=settings.max_connections))
        valkey = await stack.enter_async_context(open_valkey(str(settings.redis_url)))
        feeds = await stack.enter_async_context(
            open_valkey(str(settings.redis_url), max_connections=settings.max_live_connections + SPARE_CONNECTIONS)
        )
        authenticator = Authenticator(keys)
        stack.push_async_callback(authenticator.aclose)
        access = Access(
            authenticator,
            Limiter(valkey),
            per_key=Limit(rate_hz=settings.key_rate_hz, burst=settings.key_burst),
            per_address=Limit(rate_hz=settings.address_rate_hz, burst=settings.address_burst),
            trusted_hops=settings.trusted_hops,
        )
        upstreams = _upstreams(settings)
        for upstream in upstreams.values():
            stack.push_async_callback(upstream.aclose)
        rings = Rings(store, LiveReader(feeds), most=settings.max_live_connections)
        stack.push_async_callback(rings.aclose)
        live = LiveDeps(
            store=store,
            rings=rings,
            access=access,
            places=Places(settings.max_live_connections),
            max_s=settings.max_socket_s,
            send_timeout_s=settings.send_timeout_s,
            heartbeat_s=settings.heartbeat_s,
        )
        yield GatewayDeps(access=access, upstreams=upstreams, live=live)


def _upstreams(settings: GatewaySettings) -> dict[str, Upstream]:
    url_by_function = {
        "admin": settings.admin_api_url,
        "bots": settings.bot_manager_url,
        "collector": settings.transcription_collector_url,
        "dead_letters": settings.dead_letters_url,
        "webhooks": settings.webhooks_url,
    }
    return {
        function: Upstream(str(url), max_connections=settings.max_forwards, timeout_s=settings.forward_timeout_s)
        for function, url in url_by_function.items()
        if url is not None
    }

"""
Envoy's configuration in front of the workers, as plain data.

A stream is one WebSocket for a whole meeting: placement happens once, at its
handshake, on the ready worker with the fewest streams.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vexa_pool.server.admission import ATTEMPTS

Json = dict[str, object]

LOOK_EVERY = "0.5s"
LOOK_TIMEOUT = "1s"
CONNECT_TIMEOUT = "1s"
IDLE_TIMEOUT = "120s"
"""Of a stream in both directions; a worker pings every 20 s, so only a dead one is idle for so long."""
SPARE_CONNECTIONS = 16
"""Beyond a worker's slots: health checks, metrics, and streams that are told to wait."""
DRAWN = 5
"""Workers drawn by lot, of which the one with the fewest streams is taken: even, and still a lottery."""
DRAWS = 200
"""A retry draws anew until it gets a worker that was not asked yet."""
PLENTY = 100_000
"""Envoy's own limits, 1,024 by default and 3 retries, would be the first to refuse."""
_TYPE = "type.googleapis.com/envoy"


@dataclass(frozen=True, slots=True)
class Worker:
    """Where a worker is reached."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """Where streams arrive, and who carries them."""

    host: str
    port: int
    workers: Sequence[Worker]
    is_dns: bool = False
    """The only worker named is a DNS name that stands for all of them, as a headless Service's does."""
    slots: int
    """Of each worker."""
    admin_port: int | None = None
    """Envoy's own page, on the loopback; it can stop Envoy, so nobody else may reach it."""


def render(balancer: Balancer) -> Json:
    """Spell Envoy's bootstrap; Envoy reads JSON as it reads YAML."""
    bootstrap: Json = {"static_resources": {"listeners": [_listener(balancer)], "clusters": [_cluster(balancer)]}}
    if balancer.admin_port is not None:
        bootstrap["admin"] = {"address": _address("127.0.0.1", balancer.admin_port)}
    return bootstrap


def _listener(balancer: Balancer) -> Json:
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "pool",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": IDLE_TIMEOUT,
        "route_config": {"name": "pool", "virtual_hosts": [_virtual_host()]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    network = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        "name": "streams",
        "address": _address(balancer.host, balancer.port),
        "filter_chains": [{"filters": [network]}],
    }


def _virtual_host() -> Json:
    previous_hosts = {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": f"{_TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    }
    retries = {
        "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-status-codes",
        "retriable_status_codes": [503],
        "num_retries": ATTEMPTS - 1,
        "retry_host_predicate": [previous_hosts],
        "host_selection_retry_max_attempts": DRAWS,
    }
    route = {"cluster": "workers", "timeout": "0s", "idle_timeout": IDLE_TIMEOUT, "retry_policy": retries}
    return {
        "name": "pool",
        "domains": ["*"],
        "include_request_attempt_count": True,
        "routes": [{"match": {"prefix": "/"}, "route": route}],
    }


def _cluster(balancer: Balancer) -> Json:
    endpoints = [{"endpoint": {"address": _address(worker.host, worker.port)}} for worker in balancer.workers]
    return {
        "name": "workers",
        "type": "STRICT_DNS" if balancer.is_dns else "STATIC",
        "dns_refresh_rate": "2s",
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "LEAST_REQUEST",
        "least_request_lb_config": {"choice_count": DRAWN},
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
        "health_checks": [_health_check()],
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": PLENTY,
                    "max_pending_requests": PLENTY,
                    "max_requests": PLENTY,
                    "max_retries": PLENTY,
                }
            ],
            "per_host_thresholds": [{"max_connections": balancer.slots + SPARE_CONNECTIONS}],
        },
        "load_assignment": {"cluster_name": "workers", "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _health_check() -> Json:
    """Look at every worker often: one that is full, stopping or gone gets no new stream."""
    return {
        "timeout": LOOK_TIMEOUT,
        "interval": LOOK_EVERY,
        "no_traffic_interval": LOOK_EVERY,
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/readyz"},
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}

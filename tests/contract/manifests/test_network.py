"""The NetworkPolicies allow exactly the arrows of the design."""

import random
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import pytest

from vexa_functions.webhooks.addresses import is_public

from .rendering import LAPTOP, PRODUCTION, Breach, Documents, named, of_kind, pod_specs, rendered, spoiled

INSIDE = (
    "gateway",
    "admin",
    "bots",
    "collector",
    "webhooks",
    "dead-letters",
    "pool",
    "balancer",
    "vexa-bot",
    "migrate",
    "fetch-model",
    "postgres",
    "valkey",
)
FUNCTIONS = INSIDE[:6]
NAMESPACES = ("knative-serving", "kourier-system", "knative-eventing", "kube-system", "monitoring")
PRIVATE, PUBLIC = "a private address", "a public address"
INTERNET = {"0.0.0.0/0", "2000::/3", "64:ff9b::/96"}
NOT_PUBLIC = (
    "0.0.0.1", "10.96.0.1", "100.64.0.1", "127.0.0.1", "168.63.129.16", "169.254.169.254", "172.31.0.2", "192.0.0.170",
    "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "::1", "fd00:ec2::254", "fe80::1", "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "2001::1",
    "2001:db8::1", "2002:a00:1::", "3fff::1",
)  # fmt: skip
ON_THE_INTERNET = ("1.1.1.1", "142.250.1.1", "168.63.129.17", "2606:4700::1111", "64:ff9b::8.8.8.8")
SAMPLES = 2_000
NAMES = {(one, "kube-system:53") for one in INSIDE}
SERVED = {
    (f"{peer}", f"{one}:{port}")
    for one in FUNCTIONS
    for peer in ("knative-serving", "kourier-system")
    for port in (8012, 8013, 8022, 8112, 9090)
}
BROKER = {
    (one, f"knative-eventing:{port}") for one in ("bots", "collector", "dead-letters", "pool") for port in (8080, 8443)
}
DESIGN = {
    *NAMES,
    *SERVED,
    *BROKER,
    *((one, "postgres:5432") for one in (*FUNCTIONS, "migrate")),
    *((one, "valkey:6379") for one in ("gateway", "bots", "collector", "pool")),
    ("vexa-bot", "balancer:9090"),
    ("balancer", "pool:9090"),
    ("gateway", "kourier-system:8081"),
    ("vexa-bot", "kourier-system:8081"),
    ("vexa-bot", f"{PUBLIC}:any"),
    ("webhooks", f"{PUBLIC}:any"),
    ("fetch-model", f"{PUBLIC}:443"),
    ("bots", f"{PRIVATE}:443"),
    ("bots", f"{PRIVATE}:6443"),
}
"""Who opens a connection to whom; a function is reached through Knative's ingress and activator."""
STORES_OUTSIDE = {
    *((one, f"{PRIVATE}:5432") for one in (*FUNCTIONS, "migrate")),
    *((one, f"{PRIVATE}:6379") for one in ("gateway", "bots", "collector", "pool")),
}
MONITORED = {("monitoring", "pool:9090"), *(("monitoring", f"{one}:9464") for one in FUNCTIONS)}
SCALED = {("pool", f"{PRIVATE}:443"), ("pool", f"{PRIVATE}:6443")}
"""A worker writes its number of streams on its own pod."""
Network = IPv4Network | IPv6Network
Block = tuple[Network, Sequence[Network]]


def test_the_laptops_policies_are_the_design() -> None:
    """No arrow is missing, and none is there that the design does not draw."""
    assert arrows(rendered(LAPTOP)) == DESIGN


def test_productions_policies_are_the_design_and_what_its_components_need() -> None:
    """Postgres and Valkey are outside; Prometheus reads; workers tell Kubernetes what they carry."""
    inside = {arrow for arrow in DESIGN if arrow[1] not in {"postgres:5432", "valkey:6379"}}

    assert arrows(rendered(PRODUCTION)) == inside | STORES_OUTSIDE | MONITORED | SCALED


def test_tracing_adds_the_way_that_spans_take() -> None:
    """Not for bots, which make none."""
    policies = rendered("components/network-policies")
    way = {(one, "monitoring:4318") for one in (*FUNCTIONS, "pool")}

    assert arrows([*policies, *of_kind(rendered("components/tracing"), "NetworkPolicy")]) == arrows(policies) | way


@pytest.mark.parametrize("source", ["vexa-bot", "webhooks", "fetch-model"])
def test_the_internet_is_what_webhooks_take_for_public(source: str) -> None:
    """No pod, node, metadata service or host agent is part of it, whichever numbers a cluster uses."""
    chosen = random.Random(1)
    anywhere = {str(IPv4Address(chosen.getrandbits(32))) for _ in range(SAMPLES)}
    global_unicast = {str(IPv6Address((0x2 << 124) + chosen.getrandbits(124))) for _ in range(SAMPLES)}
    blocks = [ip_block(one) for one in blocks_of(rendered(LAPTOP), source)]

    tried = {*NOT_PUBLIC, *ON_THE_INTERNET, *anywhere, *global_unicast}
    reached = {one for one in tried if is_allowed(blocks, ip_address(one))}

    assert sorted(one for one in reached if not is_public(ip_address(one))) == []
    assert sorted(one for one in {*ON_THE_INTERNET, *anywhere} - reached if is_public(ip_address(one))) == []
    assert not {one for one in NOT_PUBLIC if is_public(ip_address(one))}


@pytest.mark.parametrize("name", [LAPTOP, PRODUCTION])
def test_every_pod_is_in_the_table(name: str) -> None:
    """A workload under another name would slip through the policies."""
    names = {label.split()[1] for label, _ in pod_specs(rendered(name))}

    assert names <= set(INSIDE)


BREACHES: dict[str, Breach] = {
    "everything is let in": lambda all_: policy(all_, "deny").update(ingress=[{}]),
    "a bot may reach the database": lambda all_: (
        values(all_, "to-postgres").append("vexa-bot") or values(all_, "postgres").append("vexa-bot")
    ),
    "the collector may not": lambda all_: values(all_, "to-postgres").remove("collector"),
    "a port more": lambda all_: policy(all_, "to-broker")["egress"][0]["ports"].append({"port": 22}),
    "any port": lambda all_: policy(all_, "to-functions")["egress"][0].pop("ports"),
    "private addresses": lambda all_: to_receivers(all_).pop("except"),
    "a policy is gone": lambda all_: all_.remove(named(all_, "NetworkPolicy", "valkey")),
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES)
def test_another_arrow_is_found(breach: Breach) -> None:
    """A table that always agrees would hold nothing."""
    assert arrows(spoiled(breach, LAPTOP)) != DESIGN


def policy(documents: Documents, name: str) -> Any:
    return named(documents, "NetworkPolicy", name)["spec"]


def to_receivers(documents: Documents) -> Any:
    return policy(documents, "to-internet")["egress"][0]["to"][0]["ipBlock"]


def blocks_of(documents: Documents, source: str) -> Iterator[Any]:
    """List the blocks of the internet that the policies let a pod reach."""
    for one in of_kind(documents, "NetworkPolicy"):
        if _selects(one["spec"]["podSelector"], source):
            peers = [peer for rule in one["spec"].get("egress", []) for peer in rule.get("to", [])]
            yield from (peer["ipBlock"] for peer in peers if peer.get("ipBlock", {}).get("cidr") in INTERNET)


def ip_block(block: Any) -> Block:
    """Read a block; Kubernetes refuses one whose exceptions are not within it."""
    whole, holes = ip_network(block["cidr"]), [ip_network(one) for one in block["except"]]
    assert all(hole.version == whole.version and hole.subnet_of(whole) for hole in holes)  # type: ignore[arg-type]
    return whole, holes


def is_allowed(blocks: Sequence[Block], address: IPv4Address | IPv6Address) -> bool:
    return any(address in whole and not any(address in hole for hole in holes) for whole, holes in blocks)


def values(documents: Documents, name: str) -> Any:
    spec = policy(documents, name)
    selector = spec["podSelector"] or spec["ingress"][0]["from"][0]["podSelector"]
    if name == "postgres":
        selector = spec["ingress"][0]["from"][0]["podSelector"]
    return selector["matchExpressions"][0]["values"]


def arrows(documents: Documents) -> set[tuple[str, str]]:
    """List the connections that the policies allow: what leaves one pod must be let into the other."""
    policies = [one["spec"] for one in of_kind(documents, "NetworkPolicy")]
    leaving = {arrow for source in INSIDE for arrow in _leaving(policies, source)}
    entering = {arrow for target in INSIDE for arrow in _entering(policies, target)}
    between = {
        (source, f"{target}:{port}")
        for source, target, port in leaving & entering | _any_port(leaving, entering)
        if target in INSIDE
    }
    outward = {(source, f"{target}:{port}") for source, target, port in leaving if target not in INSIDE}
    inward = {(source, f"{target}:{port}") for source, target, port in entering if source not in INSIDE}
    return between | outward | inward


Arrow = tuple[str, str, str]


def _any_port(leaving: set[Arrow], entering: set[Arrow]) -> set[Arrow]:
    """Join what one side allows on any port with what the other allows on some."""
    joined = {(s, t, port) for s, t, port in leaving if (s, t, "any") in entering}
    return joined | {(s, t, port) for s, t, port in entering if (s, t, "any") in leaving}


def _leaving(policies: list[Any], source: str) -> Iterator[Arrow]:
    for spec in policies:
        if "Egress" in spec["policyTypes"] and _selects(spec["podSelector"], source):
            for rule in spec.get("egress", []):
                for target in _peers(rule.get("to", [])):
                    yield from ((source, target, port) for port in _ports(rule))


def _entering(policies: list[Any], target: str) -> Iterator[Arrow]:
    selecting = [one for one in policies if "Ingress" in one["policyTypes"] and _selects(one["podSelector"], target)]
    if not selecting:
        yield from ((source, target, "any") for source in (*INSIDE, *NAMESPACES))
    for spec in selecting:
        for rule in spec.get("ingress", []):
            for source in _peers(rule.get("from", [])):
                yield from ((source, target, port) for port in _ports(rule))


def _ports(rule: Any) -> set[str]:
    return {str(one["port"]) for one in rule.get("ports", [])} or {"any"}


def _peers(peers: list[Any]) -> Iterator[str]:
    """Name whom a rule means; no peer at all means everybody."""
    if not peers:
        yield from (*INSIDE, *NAMESPACES, PRIVATE, PUBLIC)
    for one in peers:
        if "ipBlock" in one:
            yield from _addresses(one["ipBlock"])
        elif "namespaceSelector" in one:
            yield one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        else:
            yield from (name for name in INSIDE if _selects(one["podSelector"], name))


def _addresses(block: Any) -> Iterator[str]:
    is_internet = block["cidr"] in INTERNET
    if is_internet:
        yield PUBLIC
    if not is_internet or not block.get("except"):
        yield PRIVATE


def _selects(selector: Any, name: str) -> bool:
    labels = {"app.kubernetes.io/name": name}
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )

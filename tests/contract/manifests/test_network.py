"""The NetworkPolicies allow exactly the arrows of the design."""

from collections.abc import Iterator
from typing import Any

import pytest

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
    return policy(documents, "webhooks-to-receivers")["egress"][0]["to"][0]["ipBlock"]


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
    is_everything = block["cidr"] in {"0.0.0.0/0", "::/0"}
    if is_everything:
        yield PUBLIC
    if not is_everything or not block.get("except"):
        yield PRIVATE


def _selects(selector: Any, name: str) -> bool:
    labels = {"app.kubernetes.io/name": name}
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )

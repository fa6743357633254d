"""The numbers of the manifests fit one another: connections, times, slots."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vexa_bot.settings import BotSettings

from .rendering import (
    EVERYTHING,
    KNATIVE,
    LAPTOP,
    OVERLAYS,
    PRODUCTION,
    Breach,
    Document,
    Documents,
    container,
    function,
    functions,
    literal_env,
    named,
    of_kind,
    rendered,
    spoiled,
)

MAX_SCALE = "autoscaling.knative.dev/max-scale"
REVISIONS = 2
"""During a rollout the old one and the new one run side by side."""
OTHER_CONNECTIONS = 10
"""The migration, three that Postgres keeps for its superuser, and whoever looks after it."""
LAST_BATCHES_S = 10 + 5
"""What a worker takes after its drain, to hand over batches and to close connections."""
BALANCER = {
    "base/pool/envoy.json": "base",
    "components/gpu/envoy.json": "components/gpu",
}
AUTOSCALING = {"class", "metric", "target", "window", "min-scale", "max-scale"}
Check = Callable[[Documents], Iterator[str]]


def connections_suffice(documents: Documents) -> Iterator[str]:
    """All instances of all functions together open fewer connections than the database takes."""
    wanted = REVISIONS * sum(_connections(one) for one in functions(documents)) + OTHER_CONNECTIONS
    limit = _connection_limit(documents)
    if wanted > limit:
        yield f"up to {wanted} connections, and Postgres takes {limit}"


def scaling_is_bounded(documents: Documents) -> Iterator[str]:
    """Every function says how it scales; unlimited is no number."""
    for one in functions(documents):
        annotations = one["spec"]["template"]["metadata"]["annotations"]
        missing = {name for name in AUTOSCALING if f"autoscaling.knative.dev/{name}" not in annotations}
        if missing or int(annotations[MAX_SCALE]) < 1:
            yield f"Service {one['metadata']['name']}: {sorted(missing) or MAX_SCALE}"


def times_nest(documents: Documents) -> Iterator[str]:
    """Whoever waits does so for longer than whoever works."""
    gateway = function(documents, "gateway")
    if float(literal_env(gateway)["MAX_SOCKET_S"]) >= gateway["spec"]["template"]["spec"]["timeoutSeconds"]:
        yield "gateway: MAX_SOCKET_S does not end a connection before Knative cuts it"
    for trigger in of_kind(documents, "Trigger"):
        subscriber = function(documents, trigger["spec"]["subscriber"]["ref"]["name"])
        patience_s = float(trigger["spec"]["delivery"]["timeout"].removeprefix("PT").removesuffix("S"))
        if subscriber["spec"]["template"]["spec"]["timeoutSeconds"] > patience_s:
            yield f"Trigger {trigger['metadata']['name']}: gives up before {subscriber['metadata']['name']} does"


def a_worker_ends_in_time(documents: Documents) -> Iterator[str]:
    """Kubernetes kills nobody who still lets a meeting end."""
    pool = named(documents, "Deployment", "pool")
    drain_s = float(literal_env(pool)["POOL_DRAIN_S"])
    needed_s = container(pool)["lifecycle"]["preStop"]["sleep"]["seconds"] + drain_s + LAST_BATCHES_S
    grace_s = pool["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    if grace_s < needed_s:
        yield f"pool: terminationGracePeriodSeconds is {grace_s}, and ending may take {needed_s:g} s"


CHECKS: tuple[Check, ...] = (connections_suffice, scaling_is_bounded, times_nest, a_worker_ends_in_time)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_numbers_fit(check: Check, name: str) -> None:
    """In each overlay."""
    assert list(check(rendered(name))) == []


def scale(documents: Documents, name: str, most: str) -> None:
    function(documents, name)["spec"]["template"]["metadata"]["annotations"][MAX_SCALE] = most


def drain(documents: Documents, seconds: str) -> None:
    (found,) = (
        one for one in container(named(documents, "Deployment", "pool"))["env"] if one["name"] == "POOL_DRAIN_S"
    )
    found["value"] = seconds


def socket(documents: Documents, seconds: str) -> None:
    (found,) = (one for one in container(function(documents, "gateway"))["env"] if one["name"] == "MAX_SOCKET_S")
    found["value"] = seconds


BREACHES: tuple[tuple[Check, str, Breach], ...] = (
    (connections_suffice, LAPTOP, lambda all_: scale(all_, "collector", "20")),
    (connections_suffice, PRODUCTION, lambda all_: scale(all_, "gateway", "50")),
    (scaling_is_bounded, LAPTOP, lambda all_: scale(all_, "admin", "0")),
    (times_nest, LAPTOP, lambda all_: socket(all_, "900")),
    (times_nest, LAPTOP, lambda all_: function(all_, "webhooks")["spec"]["template"]["spec"].update(timeoutSeconds=99)),
    (a_worker_ends_in_time, LAPTOP, lambda all_: drain(all_, "600")),
    (a_worker_ends_in_time, PRODUCTION, lambda all_: drain(all_, "14450")),
)


@pytest.mark.parametrize(("check", "name", "breach"), BREACHES)
def test_a_number_that_does_not_fit_is_found(check: Check, name: str, breach: Breach) -> None:
    """A check that cannot fail protects nothing."""
    assert list(check(spoiled(breach, name)))


def test_a_worker_drains_as_long_as_a_bot_stays() -> None:
    """A meeting ends where it began, unless its bot was told to stay longer than bots do."""
    drain_s = literal_env(named(rendered(PRODUCTION), "Deployment", "pool"))["POOL_DRAIN_S"]

    assert float(drain_s) >= BotSettings.model_fields["max_age_s"].default


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_balancer_knows_the_slots_of_a_worker(name: str) -> None:
    """Both are said in one place for the CPU and one for GPUs."""
    documents = rendered(name)
    (settings,) = (one["data"] for one in of_kind(documents, "ConfigMap") if "POOL_SLOTS" in one["data"])
    (envoy,) = (one["data"]["envoy.json"] for one in of_kind(documents, "ConfigMap") if "envoy.json" in one["data"])

    assert json.loads(envoy) == balancer_config(int(settings["POOL_SLOTS"]))


@pytest.mark.parametrize("file", BALANCER)
def test_the_balancers_config_is_what_the_pool_writes(file: str) -> None:
    """The command that its README names makes the very file."""
    written = json.loads((KNATIVE / file).read_text())
    commands = [
        shlex.split(line.partition(">")[0])
        for line in (KNATIVE / "README.md").read_text().splitlines()
        if "vexa_pool.balancer" in line and line.endswith(f"knative/{file}")
    ]

    assert [run_balancer(command[command.index("vexa_pool.balancer") + 1 :]) for command in commands] == [written]


def balancer_config(slots: int) -> object:
    name = "pool.vexa.svc.cluster.local:9090"
    return run_balancer(["--dns", name, "--host", "0.0.0.0", "--slots", str(slots)])


def run_balancer(options: list[str]) -> object:
    command = [sys.executable, "-m", "vexa_pool.balancer", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=Path(__file__).parent)
    return json.loads(done.stdout)


def _connections(document: Document) -> int:
    env = literal_env(document)
    each = int(env["DB_POOL_MAX_SIZE"]) + int(env.get("AUTH_POOL_MAX_SIZE", "0"))
    return each * int(document["spec"]["template"]["metadata"]["annotations"][MAX_SCALE])


def _connection_limit(documents: Documents) -> int:
    """Read what the Postgres inside is started with, or what is asked of the one outside."""
    for one in of_kind(documents, "StatefulSet"):
        if one["metadata"]["name"] == "postgres":
            return int(container(one)["args"][-1].removeprefix("max_connections="))
    return int(named(documents, "Namespace", "vexa")["metadata"]["annotations"]["vexa/database-connections"])

"""Every name in the manifests leads to something that exists: events, functions, settings, secrets, images."""

import importlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from vexa_events.errors import InvalidMessage
from vexa_events.registry import CONTRACTS
from vexa_functions.bots.launchers.kubernetes_job import JobShape, job_of
from vexa_functions.bots.launchers.launcher import NewBot
from vexa_functions.hosting.operations import Caller, Operation
from vexa_local.stack import FUNCTIONS
from vexa_pool.settings import PoolSettings

from .api_server import CLUSTER_WIDE
from .rendering import (
    EVERYTHING,
    KNATIVE,
    LAPTOP,
    OVERLAYS,
    PRODUCTION,
    SERVING,
    Breach,
    Document,
    Documents,
    container,
    function,
    functions,
    group_of,
    named,
    of_kind,
    pod_specs,
    rendered,
    spoiled,
)

VERSION = tomllib.loads((KNATIVE.parent / "pyproject.toml").read_text())["project"]["version"]
OUR_IMAGES = {f"vexa/{name}:{VERSION}" for name in ("functions", "pool", "pool-cuda", "bot")}
OTHERS_IMAGES = {"envoyproxy/envoy:v1.34.1", "postgres:18.1-bookworm", "valkey/valkey:8.1.3-bookworm"}
REGISTRY = "registry.example.com/"
SECRETS = {
    "DATABASE_URL": "postgresql://vexa:secret@postgres/vexa",
    "MIGRATION_DATABASE_URL": "postgresql://vexa:secret@postgres/vexa",
    "REDIS_URL": "redis://valkey:6379/0",
    "TOKEN_SIGNING_KEY": "k" * 32,
    "ADMIN_API_KEY": "a-random-administrators-key",
    "POSTGRES_PASSWORD": "secret",
}
"""What the Secret `vexa` holds; knative/deploy makes it."""
OF_THE_IMAGE = {"FUNCTION_TARGET"}
"""Read by the image's start, not by a settings model."""
KSERVICE_FIELDS = {
    "automountServiceAccountToken",
    "containerConcurrency",
    "containers",
    "enableServiceLinks",
    "serviceAccountName",
    "timeoutSeconds",
    "volumes",
}
KSERVICE_VOLUMES = {"configMap", "emptyDir", "name", "projected", "secret"}
LONGEST_TIMEOUT_S = 600
MAY_HAVE_A_TOKEN = {"bots", "pool", "producer"}
"""Service accounts that speak to Kubernetes, or to a Broker that asks who they are."""
Check = Callable[[Documents], Iterator[str]]


def events_arrive(documents: Documents) -> Iterator[str]:
    """Each Trigger filters a type that exists; each subscriber, sink and dead letter sink is a route of a function."""
    for trigger in of_kind(documents, "Trigger"):
        label, spec = f"Trigger {trigger['metadata']['name']}", trigger["spec"]
        for one in spec["filters"]:
            if one.get("exact", {}).get("type") not in CONTRACTS:
                yield f"{label}: filters {one}, which nobody publishes"
        if not list(of_kind(documents, "Broker")) or spec["broker"] != "default":
            yield f"{label}: no Broker {spec['broker']}"
        yield from (f"{label}: {fault}" for fault in _destination_faults(documents, spec["subscriber"]))
        dead_letters = spec["delivery"]["deadLetterSink"]
        yield from (f"{label}: {fault}" for fault in _destination_faults(documents, dead_letters))
    for ping in of_kind(documents, "PingSource"):
        label = f"PingSource {ping['metadata']['name']}"
        yield from (f"{label}: {fault}" for fault in _destination_faults(documents, ping["spec"]["sink"]))
    for binding in of_kind(documents, "SinkBinding"):
        subject = binding["spec"]["subject"]
        if not any(one["metadata"]["name"] == subject["name"] for one in of_kind(documents, subject["kind"])):
            yield f"SinkBinding {binding['metadata']['name']}: no {subject['kind']} {subject['name']}"


def targets_exist(documents: Documents) -> Iterator[str]:
    """FUNCTION_TARGET names a function of the image, each function once."""
    targets = {one["metadata"]["name"]: _env(documents, one).get("FUNCTION_TARGET") for one in functions(documents)}
    for name, target in targets.items():
        if target not in FUNCTIONS or str(target).replace("_", "-") != name:
            yield f"Service {name}: FUNCTION_TARGET is {target}"
    if set(targets.values()) != set(FUNCTIONS):
        yield f"functions deployed: {sorted(map(str, targets.values()))}"


def settings_are_complete(documents: Documents) -> Iterator[str]:
    """Each process starts with what it is given, and knows every variable of it."""
    workloads: list[tuple[Document, type[BaseModel]]] = [(one, _settings_of(one)) for one in functions(documents)]
    workloads += [(one, PoolSettings) for one in of_kind(documents, "Deployment") if one["metadata"]["name"] == "pool"]
    for workload, model in workloads:
        label = f"{workload['kind']} {workload['metadata']['name']}"
        env = _env(documents, workload)
        known = {field.alias for field in model.model_fields.values()} | OF_THE_IMAGE | _building_blocks(workload)
        yield from (f"{label}: unknown variable {name}" for name in sorted(env.keys() - known))
        try:
            model.from_env(env)  # type: ignore[attr-defined]
        except InvalidMessage as exc:
            yield f"{label}: {exc}"


def references_exist(documents: Documents) -> Iterator[str]:
    """Secrets, ConfigMaps, claims and accounts that a pod names are there, with the keys that it reads."""
    config_maps = {one["metadata"]["name"]: one["data"].keys() for one in of_kind(documents, "ConfigMap")}
    claims = {one["metadata"]["name"] for one in of_kind(documents, "PersistentVolumeClaim")}
    accounts = {one["metadata"]["name"] for one in of_kind(documents, "ServiceAccount")}
    for label, spec in pod_specs(documents):
        for one in spec["containers"][0].get("env", []):
            source = one.get("valueFrom", {})
            config, secret = source.get("configMapKeyRef"), source.get("secretKeyRef")
            if config and config["key"] not in config_maps.get(config["name"], ()):
                yield f"{label}: ConfigMap {config} is not there"
            if secret and (secret["name"] != "vexa" or secret["key"] not in SECRETS):
                yield f"{label}: Secret {secret} is not there"
        for volume in spec.get("volumes", []):
            if "configMap" in volume and volume["configMap"]["name"] not in config_maps:
                yield f"{label}: ConfigMap {volume['configMap']['name']} is not there"
            if "persistentVolumeClaim" in volume and volume["persistentVolumeClaim"]["claimName"] not in claims:
                yield f"{label}: claim {volume['persistentVolumeClaim']['claimName']} is not there"
        if spec.get("serviceAccountName", "default") not in accounts | {"default"}:
            yield f"{label}: ServiceAccount {spec['serviceAccountName']} is not there"


def images_are_ours(documents: Documents) -> Iterator[str]:
    """Every image is one that is built here, of this version, or a pinned one of somebody else."""
    images = [(label, one["image"]) for label, spec in pod_specs(documents) for one in spec["containers"]]
    images += [("BOT_IMAGE", one["data"]["BOT_IMAGE"]) for one in of_kind(documents, "ConfigMap") if _is_settings(one)]
    is_renamed = any(image.startswith(REGISTRY) for _, image in images)
    for label, image in images:
        ours = image.removeprefix(REGISTRY)
        if ours not in OUR_IMAGES | OTHERS_IMAGES:
            yield f"{label}: {image}"
        elif is_renamed and ours in OUR_IMAGES and ours == image:
            yield f"{label}: {image} lacks the registry that the others have"


def knative_takes_it_without_flags(documents: Documents) -> Iterator[str]:
    """A field behind a feature flag is refused by a cluster as it is installed."""
    for one in functions(documents):
        spec, own = one["spec"]["template"]["spec"], container(one)
        label = f"Service {one['metadata']['name']}"
        yield from (f"{label}: {name}" for name in sorted(spec.keys() - KSERVICE_FIELDS))
        yield from (f"{label}: {name}" for name in ("lifecycle",) if name in own)
        yield from (f"{label}: volume {name}" for v in spec["volumes"] for name in v.keys() - KSERVICE_VOLUMES)
        if spec["timeoutSeconds"] > LONGEST_TIMEOUT_S:
            yield f"{label}: timeoutSeconds is over {LONGEST_TIMEOUT_S}"
        if spec.get("automountServiceAccountToken", False):
            yield f"{label}: automountServiceAccountToken may only be false"
        for variable in own["env"]:
            if {"fieldRef", "resourceFieldRef"} & variable.get("valueFrom", {}).keys():
                yield f"{label}: {variable['name']} comes from the pod itself"


def only_the_gateway_is_public(documents: Documents) -> Iterator[str]:
    """Everything else has an address inside the cluster alone."""
    for one in functions(documents):
        visibility = one["metadata"]["labels"].get("networking.knative.dev/visibility", "public")
        if (visibility == "public") != (one["metadata"]["name"] == "gateway"):
            yield f"Service {one['metadata']['name']}: is {visibility}"


def pods_are_locked_in(documents: Documents) -> Iterator[str]:
    """No root, no capability, no writable root, bounded memory, and no token that is not needed."""
    for label, spec in pod_specs(documents):
        (own,) = spec["containers"]
        security = {**spec.get("securityContext", {}), **own.get("securityContext", {})}
        wanted = {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        yield from (f"{label}: {name}" for name, value in wanted.items() if security.get(name) != value)
        resources = own.get("resources", {})
        yield from (f"{label}: {n} of memory" for n in ("requests", "limits") if "memory" not in resources.get(n, {}))
        has_account = spec.get("serviceAccountName") in MAY_HAVE_A_TOKEN
        if spec.get("automountServiceAccountToken") is not False and not has_account:
            yield f"{label}: has a token for Kubernetes"


def brokers_try_again(documents: Documents) -> Iterator[str]:
    """A cluster's overlay says which kind of Broker, and with what behind it."""
    for one in of_kind(documents, "Broker"):
        config = one["spec"].get("config", {})
        if not one["metadata"].get("annotations", {}).get("eventing.knative.dev/broker.class"):
            yield "Broker: no class"
        if not any(found["metadata"]["name"] == config.get("name") for found in of_kind(documents, "ConfigMap")):
            yield f"Broker: ConfigMap {config.get('name')} is not there"


def everything_is_in_one_namespace(documents: Documents) -> Iterator[str]:
    """Names are spelled out with it; what belongs to the cluster as a whole has none."""
    for one in documents:
        wanted = None if one["kind"] in CLUSTER_WIDE else "vexa"
        if one["metadata"].get("namespace") != wanted:
            yield f"{one['kind']} {one['metadata']['name']}: namespace {one['metadata'].get('namespace')}"


CHECKS: tuple[Check, ...] = (
    everything_is_in_one_namespace,
    events_arrive,
    targets_exist,
    settings_are_complete,
    references_exist,
    images_are_ours,
    knative_takes_it_without_flags,
    only_the_gateway_is_public,
    pods_are_locked_in,
)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_manifests_keep_it(check: Check, name: str) -> None:
    """Each overlay, and the base with each component."""
    assert list(check(rendered(name))) == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_chooses_its_broker(name: str) -> None:
    """The base leaves that open."""
    assert list(brokers_try_again(rendered(name))) == []


def trigger(documents: Documents) -> Any:
    return named(documents, "Trigger", "webhooks-bot-failed")["spec"]


def set_env(document: Document, name: str, value: str | None) -> None:
    env = container(document)["env"]
    env[:] = [one for one in env if one["name"] != name] + ([{"name": name, "value": value}] if value else [])


def pod_of(documents: Documents, name: str) -> Any:
    return function(documents, name)["spec"]["template"]["spec"]


def pool(documents: Documents) -> Document:
    return named(documents, "Deployment", "pool")


POD_NAME: Document = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
BREACHES: tuple[tuple[Check, Breach], ...] = (
    (everything_is_in_one_namespace, lambda all_: named(all_, "Broker", "default")["metadata"].pop("namespace")),
    (
        everything_is_in_one_namespace,
        lambda all_: named(all_, "Namespace", "vexa")["metadata"].update(namespace="vexa"),
    ),
    (events_arrive, lambda all_: trigger(all_)["filters"][0].update(exact={"type": "vexa.bot.fialed.v1"})),
    (events_arrive, lambda all_: trigger(all_)["subscriber"]["ref"].update(name="webhook")),
    (events_arrive, lambda all_: trigger(all_)["subscriber"].update(uri="/event")),
    (events_arrive, lambda all_: trigger(all_)["delivery"]["deadLetterSink"].update(uri="/letters")),
    (events_arrive, lambda all_: trigger(all_).update(broker="defualt")),
    (events_arrive, lambda all_: named(all_, "PingSource", "bots-tick")["spec"]["sink"].update(uri="/tick")),
    (events_arrive, lambda all_: named(all_, "SinkBinding", "pool-to-broker")["spec"]["subject"].update(name="p")),
    (targets_exist, lambda all_: set_env(function(all_, "dead-letters"), "FUNCTION_TARGET", "dead-letters")),
    (targets_exist, lambda all_: all_.remove(function(all_, "admin"))),
    (settings_are_complete, lambda all_: set_env(function(all_, "bots"), "BOT_IMAGE", None)),
    (settings_are_complete, lambda all_: set_env(function(all_, "gateway"), "ADMIN_URL", "http://admin")),
    (settings_are_complete, lambda all_: set_env(function(all_, "collector"), "K_SINK", "broker")),
    (settings_are_complete, lambda all_: set_env(pool(all_), "TOKEN_SIGNING_KEY", None)),
    (settings_are_complete, lambda all_: all_.remove(named(all_, "SinkBinding", "pool-to-broker"))),
    (references_exist, lambda all_: all_.remove(next(one for one in of_kind(all_, "ConfigMap") if _is_settings(one)))),
    (references_exist, lambda all_: all_.remove(named(all_, "PersistentVolumeClaim", "models"))),
    (references_exist, lambda all_: all_.remove(named(all_, "ServiceAccount", "bots"))),
    (references_exist, lambda all_: container(pool(all_))["env"].append(a_secret("SIGNING_KEY"))),
    (images_are_ours, lambda all_: container(pool(all_)).update(image=f"{REGISTRY}vexa/pool-cuda:latest")),
    (images_are_ours, lambda all_: container(pool(all_)).update(image=f"vexa/pool-cuda:{VERSION}")),
    (images_are_ours, lambda all_: container(named(all_, "Deployment", "balancer")).update(image="envoy:v1.34.1")),
    (knative_takes_it_without_flags, lambda all_: pod_of(all_, "bots").update(nodeSelector={"a": "b"})),
    (knative_takes_it_without_flags, lambda all_: pod_of(all_, "gateway").update(timeoutSeconds=3_600)),
    (knative_takes_it_without_flags, lambda all_: container(function(all_, "bots"))["env"].append(POD_NAME)),
    (knative_takes_it_without_flags, lambda all_: pod_of(all_, "bots")["volumes"].append({"hostPath": {}})),
    (knative_takes_it_without_flags, lambda all_: container(function(all_, "bots")).update(lifecycle={})),
    (only_the_gateway_is_public, lambda all_: function(all_, "admin")["metadata"]["labels"].clear()),
    (pods_are_locked_in, lambda all_: container(pool(all_))["securityContext"].pop("readOnlyRootFilesystem")),
    (pods_are_locked_in, lambda all_: container(function(all_, "admin"))["resources"].pop("limits")),
    (pods_are_locked_in, lambda all_: pod_of(all_, "admin").pop("automountServiceAccountToken")),
    (brokers_try_again, lambda all_: named(all_, "Broker", "default")["metadata"].pop("annotations")),
)


def a_secret(key: str) -> Document:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": "vexa", "key": key}}}


@pytest.mark.parametrize(("check", "breach"), BREACHES)
def test_a_breach_is_found(check: Check, breach: Breach) -> None:
    """A check that cannot fail protects nothing."""
    assert list(check(spoiled(breach)))


def test_a_bot_is_locked_in_and_known_to_the_policies() -> None:
    """Its Job is made by `bots`, and meets what the namespace asks of every pod."""
    shape = JobShape(image="vexa/bot", deployment="vexa", memory_mb=512, cpus=1.0, deadline_s=60)
    job = job_of(NewBot(session_uid="s", meeting_id=1, env={}), shape).to_dict()
    (own,) = (one["spec"] for one in of_kind(rendered(LAPTOP), "NetworkPolicy") if one["metadata"]["name"] == "bot")

    assert list(pods_are_locked_in([job])) == []
    assert own["podSelector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_every_image_named_is_one_that_is_built() -> None:
    """Each Dockerfile says under which names it is built, with the version of the project."""
    texts = [file.read_text() for file in KNATIVE.parent.glob("*/Dockerfile")]

    assert {tag for text in texts for tag in re.findall(r"docker build .*--tag (\S+)", text)} == OUR_IMAGES
    assert {version for text in texts for version in re.findall(r'image\.version="(.+)"', text)} == {VERSION}


def test_the_laptop_needs_no_registry() -> None:
    """Its images are loaded into the cluster's nodes."""
    assert not [image for image in _images(rendered(LAPTOP)) if image.startswith(REGISTRY)]
    assert [image for image in _images(rendered(PRODUCTION)) if image.startswith(REGISTRY)]


def _images(documents: Documents) -> list[str]:
    return [one["image"] for _, spec in pod_specs(documents) for one in spec["containers"]]


def _destination_faults(documents: Documents, destination: Document) -> Iterator[str]:
    ref = destination["ref"]
    if not any(one["metadata"]["name"] == ref["name"] and group_of(one) == SERVING for one in functions(documents)):
        yield f"no Service {ref['name']}"
    elif ("POST", destination["uri"]) not in _routes_of(ref["name"]):
        yield f"{ref['name']} has no route POST {destination['uri']} for events"


def _routes_of(service: str) -> set[tuple[str, str]]:
    operations: tuple[Operation, ...] = importlib.import_module(f"{_package(service)}.app").OPERATIONS
    return {(one.method, one.path) for one in operations if one.caller is Caller.BROKER}


def _settings_of(document: Document) -> type[BaseModel]:
    """Return the one settings model of a function."""
    module = importlib.import_module(f"{_package(document['metadata']['name'])}.settings")
    (model,) = (
        one
        for name, one in vars(module).items()
        if name.endswith("Settings") and name != "Settings" and one.__module__ == module.__name__
    )
    found: type[BaseModel] = model
    return found


def _package(service: str) -> str:
    return f"vexa_functions.{service.replace('-', '_')}"


def _env(documents: Documents, document: Document) -> Mapping[str, str]:
    """Return what the process will find in its environment, with made-up secrets."""
    settings = {key: value for one in of_kind(documents, "ConfigMap") for key, value in one["data"].items()}
    env: dict[str, str] = {}
    for one in container(document)["env"]:
        source = one.get("valueFrom", {})
        if "value" in one:
            env[one["name"]] = one["value"]
        elif "configMapKeyRef" in source:
            env[one["name"]] = settings[source["configMapKeyRef"]["key"]]
        elif "secretKeyRef" in source:
            env[one["name"]] = SECRETS[source["secretKeyRef"]["key"]]
        else:
            env[one["name"]] = "pool-1"
    for binding in of_kind(documents, "SinkBinding"):
        subject = binding["spec"]["subject"]
        if (subject["kind"], subject["name"]) == (document["kind"], document["metadata"]["name"]):
            env["K_SINK"] = "http://broker/vexa/default"
    return env


def _building_blocks(document: Document) -> set[str]:
    """Return the variables that serve to spell others: $(NAME)."""
    env = container(document)["env"]
    spelled = " ".join(one["value"] for one in env if "value" in one)
    return {one["name"] for one in env if f"$({one['name']})" in spelled}


def _is_settings(config_map: Document) -> bool:
    return str(config_map["metadata"]["name"]).startswith("settings-")

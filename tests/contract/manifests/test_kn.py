"""The `kn` commands of the README make what the manifests of the laptop describe."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from .rendering import KNATIVE, LAPTOP, Document, Documents, container, functions, of_kind, rendered

SCALING = "autoscaling.knative.dev/"
BURST = f"{SCALING}target-burst-capacity"
VISIBILITY = "networking.knative.dev/visibility"


def test_the_readme_has_the_command_for_each_object() -> None:
    """Functions, Broker, Triggers, ticks and the binding; whoever changes a manifest changes its command."""
    written = [shlex.split(line) for line in _joined(KNATIVE / "README.md") if line.startswith("kn ")]

    missing = [" ".join(command) for command in commands(rendered(LAPTOP)) if command not in written]

    assert missing == []


def commands(documents: Documents) -> Iterator[list[str]]:
    """Spell every command, word by word."""
    for one in of_kind(documents, "Broker"):
        sink = f"ksvc:{one['spec']['delivery']['deadLetterSink']['ref']['name']}"
        yield ["kn", "broker", "create", one["metadata"]["name"], *_NAMESPACE, *_delivery(one), "--dl-sink", sink]
    settings = {key: value for one in of_kind(documents, "ConfigMap") for key, value in one["data"].items()}
    yield from (_service(one, settings) for one in functions(documents))
    for one in of_kind(documents, "Trigger"):
        spec = one["spec"]
        name, type_ = one["metadata"]["name"], spec["filters"][0]["exact"]["type"]
        options = ["--broker", spec["broker"], "--filter", f"type={type_}", "--sink", _sink(spec["subscriber"])]
        yield ["kn", "trigger", "create", name, *_NAMESPACE, *options]
    for one in of_kind(documents, "PingSource"):
        spec = one["spec"]
        options = ["--schedule", spec["schedule"], "--data", spec["data"], "--sink", _sink(spec["sink"])]
        yield ["kn", "source", "ping", "create", one["metadata"]["name"], *_NAMESPACE, *options]
    for one in of_kind(documents, "SinkBinding"):
        subject, sink = one["spec"]["subject"], one["spec"]["sink"]["ref"]
        whom = f"{subject['kind']}:{subject['apiVersion']}:{subject['name']}"
        options = ["--subject", whom, "--sink", f"broker:{sink['name']}"]
        yield ["kn", "source", "binding", "create", one["metadata"]["name"], *_NAMESPACE, *options]


_NAMESPACE = ("--namespace", "vexa")


def _delivery(document: Document) -> list[str]:
    delivery = document["spec"]["delivery"]
    return [
        *("--class", document["metadata"]["annotations"]["eventing.knative.dev/broker.class"]),
        *("--retry", str(delivery["retry"]), "--backoff-policy", delivery["backoffPolicy"]),
        *("--backoff-delay", delivery["backoffDelay"], "--timeout", delivery["timeout"]),
    ]


def _service(document: Document, settings: Mapping[str, str]) -> list[str]:
    template, own = document["spec"]["template"], container(document)
    notes, spec = template["metadata"]["annotations"], template["spec"]
    resources = own["resources"]
    options = [
        *("--image", own["image"], "--service-account", spec.get("serviceAccountName", "default")),
        *("--scale", f"{notes[f'{SCALING}min-scale']}..{notes[f'{SCALING}max-scale']}"),
        *("--scale-metric", notes[f"{SCALING}metric"], "--scale-target", notes[f"{SCALING}target"]),
        *("--scale-window", notes[f"{SCALING}window"], "--concurrency-limit", str(spec["containerConcurrency"])),
        *("--timeout", str(spec["timeoutSeconds"])),
        *("--request", _quantities(resources["requests"]), "--limit", _quantities(resources["limits"])),
        *("--probe-readiness", "http::8080:/healthz", "--probe-liveness", "http::8080:/healthz"),
        *("--security-context", "strict", "--mount", "/tmp=emptyDir:tmp"),
    ]
    if VISIBILITY in document["metadata"]["labels"]:
        options.append("--cluster-local")
    if BURST in notes:
        options += ["--annotation-revision", f"{BURST}={notes[BURST]}"]
    for one in own["env"]:
        options += _variable(one, settings)
    return ["kn", "service", "apply", document["metadata"]["name"], *_NAMESPACE, *options]


def _variable(one: Any, settings: Mapping[str, str]) -> list[str]:
    source = one.get("valueFrom", {})
    if "secretKeyRef" in source:
        return [
            "--env-value-from",
            f"{one['name']}=secret:{source['secretKeyRef']['name']}:{source['secretKeyRef']['key']}",
        ]
    value = settings[source["configMapKeyRef"]["key"]] if source else one["value"]
    return ["--env", f"{one['name']}={value}"]


def _quantities(resources: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(resources.items()))


def _sink(destination: Any) -> str:
    """Spell a function and the path at it."""
    return f"http://{destination['ref']['name']}.vexa.svc.cluster.local{destination['uri']}"


def _joined(file: Any) -> Iterator[str]:
    """Read lines, those that a backslash continues as one."""
    waiting = ""
    for line in file.read_text().splitlines():
        if line.endswith("\\"):
            waiting += line.removesuffix("\\").strip() + " "
        else:
            yield (waiting + line).strip()
            waiting = ""

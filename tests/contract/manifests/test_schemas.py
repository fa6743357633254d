"""Every object that kustomize renders fits its schema; unknown fields are refused, as nobody would act on them."""

import importlib
import json
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
from pydantic import BaseModel, ValidationError

from .rendering import EVERYTHING, PRODUCTION, Breach, Document, container, function, group_of, named, rendered, spoiled

KUBERNETES = "1.33"
PACKAGES = {
    "serving.knative.dev": "knative_serving.serving",
    "networking.internal.knative.dev": "knative_serving.internal.networking",
    "eventing.knative.dev": "knative_eventing.eventing",
    "sources.knative.dev": "knative_eventing.sources",
    "keda.sh": "keda",
    "monitoring.coreos.com": "prometheus_operator",
}
NEWER = {"Broker.spec.delivery.timeout", "Trigger.spec.delivery.timeout", "ScaledObject.spec.fallback.behavior"}
"""Fields that the products know and the models for Python 3.11 do not: Knative 1.17's and KEDA 2.16's."""


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_object_fits_its_schema(name: str) -> None:
    """The base and each overlay and component render, and nothing in them is a typing error."""
    documents = rendered(name)

    assert documents
    assert [fault for document in documents for fault in faults(document)] == []


def add_field(place: Document, name: str = "replics") -> None:
    place[name] = 1


BREACHES: dict[str, Breach] = {
    "function's spec": lambda all_: add_field(function(all_, "gateway")["spec"]["template"]["spec"]),
    "function's container": lambda all_: add_field(container(function(all_, "gateway"))),
    "function's probe": lambda all_: add_field(container(function(all_, "gateway"))["readinessProbe"]["httpGet"]),
    "quantity": lambda all_: container(function(all_, "admin"))["resources"]["limits"].update(memory="much"),
    "Trigger": lambda all_: add_field(named(all_, "Trigger", "webhooks-bot-failed")["spec"]),
    "delivery": lambda all_: add_field(named(all_, "Broker", "default")["spec"]["delivery"]),
    "PingSource": lambda all_: named(all_, "PingSource", "bots-tick")["spec"].update(schedule=5),
    "SinkBinding": lambda all_: add_field(named(all_, "SinkBinding", "pool-to-broker")["spec"]),
    "Deployment": lambda all_: add_field(container(named(all_, "Deployment", "pool"))),
    "grace": lambda all_: named(all_, "Deployment", "pool")["spec"]["template"]["spec"].update(
        terminationGracePeriodSeconds="long"
    ),
    "NetworkPolicy": lambda all_: add_field(named(all_, "NetworkPolicy", "deny")["spec"]),
    "ScaledObject": lambda all_: add_field(named(all_, "ScaledObject", "pool")["spec"]),
    "DomainMapping": lambda all_: add_field(named(all_, "DomainMapping", "vexa.example.com")["spec"]),
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES)
def test_a_typing_error_is_found(breach: Breach) -> None:
    """A schema that lets everything through would hold nothing."""
    changed = [one for one, before in zip(spoiled(breach), rendered(PRODUCTION), strict=True) if one != before]

    assert [fault for document in changed for fault in faults(document)]


def faults(document: Document) -> list[str]:
    """Say where an object and its schema disagree; most objects are the same in every rendering."""
    return _faults(json.dumps(document))


@cache
def _faults(text: str) -> list[str]:
    return list(_found(json.loads(text)))


def _found(document: Document) -> Iterator[str]:
    label = f"{document['kind']} {document['metadata']['name']}"
    group = group_of(document)
    if group in PACKAGES:
        yield from (f"{label}: {fault}" for fault in _custom_faults(document, _model(group, document)))
        return
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as exc:
        yield f"{label}: {exc.message}"


def _custom_faults(document: Document, model: type[BaseModel]) -> Iterator[str]:
    try:
        kept = model.model_validate(document).model_dump(by_alias=True, exclude_unset=True, mode="json")
    except (ValidationError, TypeError) as exc:
        yield str(exc)
        return
    yield from (path for path in _lost(document, kept, document["kind"]) if path not in NEWER)


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    """Name the fields that the model does not know, and has therefore dropped."""
    if isinstance(given, dict):
        for name, value in given.items():
            if name not in kept:
                yield f"{path}.{name}"
            else:
                yield from _lost(value, kept[name], f"{path}.{name}")
    elif isinstance(given, list):
        for one, other in zip(given, kept, strict=True):
            yield from _lost(one, other, path)


def _model(group: str, document: Document) -> type[BaseModel]:
    model: type[BaseModel] = getattr(_module(group, document["apiVersion"].rpartition("/")[2]), document["kind"])
    return model


@cache
def _module(group: str, version: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generated models shadow names of their base
        return importlib.import_module(f"cloudcoil.models.{PACKAGES[group]}.{version}")

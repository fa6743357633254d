"""What Knative Serving refuses although its schema allows it, as its admission webhook decides."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .rendering import EVERYTHING, LAPTOP, Breach, Documents, container, function, functions, rendered, spoiled

SCALING = "autoscaling.knative.dev/"
SET_BY_KNATIVE = {"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"}
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 6, 3_600
Check = Callable[[Documents], Iterator[str]]


def readiness_is_probed_as_knative_does(documents: Documents) -> Iterator[str]:
    """A readiness probe without a period is Knative's own, for which neither time nor patience may be told."""
    for one in functions(documents):
        probe = container(one)["readinessProbe"]
        told = probe.keys() & {"timeoutSeconds", "failureThreshold"}
        if not probe.get("periodSeconds"):
            yield from (f"Service {one['metadata']['name']}: readinessProbe.{name}" for name in sorted(told))


def no_variable_is_knatives_own(documents: Documents) -> Iterator[str]:
    """What Knative tells each container cannot be told by us; there is one port, too."""
    for one in functions(documents):
        label, names = f"Service {one['metadata']['name']}", {variable["name"] for variable in container(one)["env"]}
        yield from (f"{label}: {name}" for name in sorted(names & SET_BY_KNATIVE))
        if len(container(one)["ports"]) != 1:
            yield f"{label}: {len(container(one)['ports'])} ports"


def scaling_is_within_bounds(documents: Documents) -> Iterator[str]:
    """Numbers in annotations are checked by the webhook alone."""
    for one in functions(documents):
        label, notes = f"Service {one['metadata']['name']}", one["spec"]["template"]["metadata"]["annotations"]
        least, most = (int(notes[f"{SCALING}{name}-scale"]) for name in ("min", "max"))
        if not 0 <= least <= most:
            yield f"{label}: {least} to {most} instances"
        window = re.fullmatch(r"(\d+)s", notes[f"{SCALING}window"])
        if not window or not SHORTEST_WINDOW_S <= int(window[1]) <= LONGEST_WINDOW_S:
            yield f"{label}: a window of {notes[f'{SCALING}window']}"


CHECKS: tuple[Check, ...] = (
    readiness_is_probed_as_knative_does,
    no_variable_is_knatives_own,
    scaling_is_within_bounds,
)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_knative_admits_the_functions(check: Check, name: str) -> None:
    """Each overlay, and the base with each component."""
    assert list(check(rendered(name))) == []


def probe_of(documents: Documents, name: str) -> Any:
    return container(function(documents, name))["readinessProbe"]


def notes_of(documents: Documents, name: str) -> Any:
    return function(documents, name)["spec"]["template"]["metadata"]["annotations"]


BREACHES: tuple[tuple[Check, Breach], ...] = (
    (readiness_is_probed_as_knative_does, lambda all_: probe_of(all_, "bots").update(timeoutSeconds=1)),
    (readiness_is_probed_as_knative_does, lambda all_: probe_of(all_, "bots").update(failureThreshold=3)),
    (no_variable_is_knatives_own, lambda all_: container(function(all_, "admin"))["env"].append({"name": "PORT"})),
    (no_variable_is_knatives_own, lambda all_: container(function(all_, "admin"))["ports"].append({})),
    (scaling_is_within_bounds, lambda all_: notes_of(all_, "admin").update({f"{SCALING}min-scale": "2"})),
    (scaling_is_within_bounds, lambda all_: notes_of(all_, "admin").update({f"{SCALING}window": "5s"})),
)


@pytest.mark.parametrize(("check", "breach"), BREACHES)
def test_what_it_would_refuse_is_found(check: Check, breach: Breach) -> None:
    """A check that cannot fail protects nothing."""
    assert list(check(spoiled(breach, LAPTOP)))

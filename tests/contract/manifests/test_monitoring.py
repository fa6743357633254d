"""What is drawn and watched is something that a process tells."""

import json
import re
from collections.abc import Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from vexa_functions.hosting.metrics import exposition
from vexa_pool.server.metrics import PoolMetrics

from .rendering import PRODUCTION, Documents, named, of_kind, rendered

METRIC = re.compile(r"\b(?:vexa|http_server)_[a-z_]+")
MONITORING = "components/monitoring"


def test_every_metric_that_is_asked_for_exists() -> None:
    """A query for a metric of another name is silent for ever."""
    asked = {metric for query in queries(rendered(PRODUCTION)) for metric in METRIC.findall(query)}

    assert asked
    assert asked - told() == set()


def test_a_metric_of_another_name_is_found() -> None:
    """So that the test above can fail."""
    documents = rendered(MONITORING)
    named(documents, "PrometheusRule", "vexa")["spec"]["groups"][0]["rules"][0]["expr"] = "vexa_pool_strems > 1"

    asked = {metric for query in queries(documents) for metric in METRIC.findall(query)}

    assert asked - told() == {"vexa_pool_strems"}


def test_an_alert_says_what_it_means_for_people() -> None:
    """Whoever is woken reads that first."""
    for rule in _rules(rendered(MONITORING)):
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"warning", "critical"}


def queries(documents: Documents) -> Iterator[str]:
    """Return every query: of alerts, of the dashboard, and of what scales the pool."""
    yield from (rule["expr"] for rule in _rules(documents))
    for one in of_kind(documents, "ConfigMap"):
        if one["metadata"].get("labels", {}).get("grafana_dashboard"):
            (text,) = one["data"].values()
            for panel in json.loads(text)["panels"]:
                yield from (target["expr"] for target in panel.get("targets", []))
    for scaled in of_kind(documents, "ScaledObject"):
        yield from (trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"])


def told() -> set[str]:
    """Return the names under which processes tell what they count."""
    return {*_names(PoolMetrics().exposition().decode()), *_names(exposition().decode())}


def _names(exposition: str) -> Iterator[str]:
    for family in text_string_to_metric_families(exposition):
        if family.type == "counter":
            yield f"{family.name}_total"
        elif family.type == "histogram":
            yield from (f"{family.name}_{part}" for part in ("bucket", "count", "sum"))
        else:
            yield family.name


def _rules(documents: Documents) -> Iterator[Any]:
    for one in of_kind(documents, "PrometheusRule"):
        for group in one["spec"]["groups"]:
            yield from group["rules"]

"""Each alert fires when it should and is quiet when it should, as promtool finds."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

LABEL = re.compile(r"{{ \$labels\.(\w+) }}")
FOR = 40
"""Minutes of series, one sample a minute; alerts are looked at in the end."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Series, in promtool's notation, with which an alert fires, and others with which it does not."""

    firing: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    """Beside its severity."""


CASES = {
    "PoolAlmostFull": Case(
        firing={"vexa_pool_streams": "8x40", "vexa_pool_slots": "8x40"},
        quiet={"vexa_pool_streams": "7x40", "vexa_pool_slots": "8x40"},
    ),
    "PoolGone": Case(firing={"vexa_pool_slots": "0x40"}, quiet={"vexa_pool_slots": "8x40"}),
    "PoolBehind": Case(
        firing={'vexa_pool_lag_seconds{quantile="0.95"}': "31x40"},
        quiet={'vexa_pool_lag_seconds{quantile="0.95"}': "29x40", 'vexa_pool_lag_seconds{quantile="1"}': "60x40"},
    ),
    "AudioGivenUp": Case(
        firing={'vexa_pool_audio_shed_seconds_total{reason="overload"}': "0+1x40"},
        quiet={'vexa_pool_audio_shed_seconds_total{reason="overload"}': "9x40"},
        labels={"reason": "overload"},
    ),
    "CoverageBelow99Percent": Case(
        firing={
            'vexa_coverage_missing_seconds_total{reason="bot_lost"}': "0+0.6x40",
            'vexa_coverage_missing_seconds_total{reason="overload"}': "0+0.6x40",
            "vexa_coverage_captured_seconds_total": "0+100x40",
        },
        quiet={
            'vexa_coverage_missing_seconds_total{reason="bot_lost"}': "0+0.9x40",
            "vexa_coverage_captured_seconds_total": "0+100x40",
        },
    ),
    "BatchesNotStored": Case(
        firing={"vexa_pool_batches_unacknowledged": "101x40", "vexa_pool_batches_reemitted_total": "0+120x40"},
        quiet={"vexa_pool_batches_unacknowledged": "101x40", "vexa_pool_batches_reemitted_total": "0+1x40"},
    ),
    "DeadLetters": Case(firing={"vexa_dead_letters": "1x40"}, quiet={"vexa_dead_letters": "0x40"}),
    "EventsNotPublished": Case(
        firing={'vexa_outbox_events{state="waiting"}': "101x40"},
        quiet={'vexa_outbox_events{state="waiting"}': "100x40"},
    ),
    "EventsRefused": Case(
        firing={'vexa_outbox_events{state="refused"}': "1x40"},
        quiet={'vexa_outbox_events{state="refused"}': "0x40", 'vexa_outbox_events{state="waiting"}': "9x40"},
    ),
    "EventsFailing": Case(
        firing={'vexa_events_total{type="t",outcome="failed"}': "0+7x40"},
        quiet={
            'vexa_events_total{type="t",outcome="taken"}': "0+100x40",
            'vexa_events_total{type="t",outcome="duplicate"}': "0+100x40",
            'vexa_events_total{type="t",outcome="early"}': "0+100x40",
        },
        labels={"type": "t"},
    ),
    "DatabaseConnectionsUsedUp": Case(
        firing={
            'vexa_db_connections_used{function="bots"}': "4x40",
            'vexa_db_connections_max{function="bots"}': "4x40",
        },
        quiet={
            'vexa_db_connections_used{function="bots"}': "3x40",
            'vexa_db_connections_max{function="bots"}': "4x40",
        },
        labels={"function": "bots"},
    ),
    "RequestsFail": Case(
        firing={
            'http_server_request_duration_seconds_count{function="bots",http_response_status_code="503"}': "0+6x40",
            'http_server_request_duration_seconds_count{function="bots",http_response_status_code="200"}': "0+94x40",
        },
        quiet={
            'http_server_request_duration_seconds_count{function="bots",http_response_status_code="404"}': "0+6x40",
            'http_server_request_duration_seconds_count{function="bots",http_response_status_code="200"}': "0+94x40",
        },
        labels={"function": "bots"},
    ),
    "ColdStartsSlow": Case(
        firing={'vexa_cold_start_seconds{function="bots"}': "_x20 4x9 _x10"},
        quiet={'vexa_cold_start_seconds{function="bots"}': "2x40"},
        labels={"function": "bots"},
    ),
    "SpansLost": Case(
        firing={'vexa_spans_total{outcome="dropped"}': "0+1x40"},
        quiet={'vexa_spans_total{outcome="sent"}': "0+1x40", 'vexa_spans_total{outcome="dropped"}': "9x40"},
    ),
}
SUCCESSION = {
    'vexa_coverage_missing_seconds_total{reason="bot_lost",pod="a"}': "500x15 _x25",
    'vexa_coverage_captured_seconds_total{pod="a"}': "9000x15 _x25",
    'vexa_coverage_missing_seconds_total{reason="bot_lost",pod="b"}': "_x25 520x15",
    'vexa_coverage_captured_seconds_total{pod="b"}': "_x25 10000x15",
}
"""Numbers that rise while no instance tells them."""


def test_every_alert_has_a_case(rules: dict[str, Any]) -> None:
    """A new one without would never have been seen to fire."""
    assert set(_rule_by_name(rules)) == set(CASES)


def test_the_rules_are_ones_that_prometheus_takes(promtool: str, rules_file: Path) -> None:
    """Down to the last query and template."""
    done = subprocess.run(
        [promtool, "check", "rules", rules_file], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, f"{len(CASES)} rules found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_alerts_fire_and_are_quiet(promtool: str, rules: dict[str, Any], rules_file: Path) -> None:
    """Each on either side of where its line is drawn."""
    by_name = _rule_by_name(rules)
    tests = [
        _test(by_name[name], series, case.labels, fires=fires)
        for name, case in CASES.items()
        for series, fires in ((case.firing, True), (case.quiet, False))
    ]

    assert _run(promtool, rules_file, tests) == ""


def test_what_was_lost_between_two_instances_counts(promtool: str, rules: dict[str, Any], rules_file: Path) -> None:
    """The collector scales to zero, and another instance goes on from what the database holds."""
    rule = _rule_by_name(rules)["CoverageBelow99Percent"]

    assert _run(promtool, rules_file, [_test(rule, SUCCESSION, {}, fires=True)]) == ""


@pytest.mark.parametrize("fires", [True, False])
def test_a_wrong_expectation_is_found(promtool: str, rules: dict[str, Any], rules_file: Path, fires: bool) -> None:
    """So that the tests above can fail."""
    case = CASES["DeadLetters"]
    series = case.quiet if fires else case.firing

    assert "DeadLetters" in _run(
        promtool, rules_file, [_test(_rule_by_name(rules)["DeadLetters"], series, {}, fires=fires)]
    )


def _test(rule: dict[str, Any], series: dict[str, str], labels: dict[str, str], *, fires: bool) -> dict[str, Any]:
    summary = LABEL.sub(lambda found: labels[found[1]], rule["annotations"]["summary"])
    alert = {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": {"summary": summary}}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{FOR}m", "alertname": rule["alert"], "exp_alerts": [alert] if fires else []}
        ],
    }


def _run(promtool: str, rules_file: Path, tests: list[dict[str, Any]]) -> str:
    """Return what promtool finds wrong."""
    file = rules_file.with_name("tests.yaml")
    file.write_text(yaml.safe_dump({"rule_files": [rules_file.name], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _rule_by_name(rules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"]}

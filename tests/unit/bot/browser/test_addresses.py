"""What is left of an address that is told."""

import pytest

from vexa_bot.browser.addresses import without_secrets
from vexa_bot.browser.snapshot import Snapshot, nothing_known
from vexa_bot.browser.steps import MAX_EVIDENCE, StepFailed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://zoom.example/wc/1/join?pwd=secret", "https://zoom.example/wc/1/join"),
        (
            "net::ERR_FAILED at https://j.example:8443/room?jwt=secret#a=b. Retry",
            "net::ERR_FAILED at https://j.example:8443/room Retry",
        ),
        ("at 'http://a/?p=secret' and \"http://b/#secret\"", "at 'http://a/' and \"http://b/\""),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/"),
        ("is anybody there?", "is anybody there?"),
    ],
)
def test_query_and_fragment_are_not_told(text: str, told: str) -> None:
    """Passcodes and tokens stand there; where the page lies is all that helps."""
    assert without_secrets(text) == told


def test_an_unknown_page_is_told_without_its_passcode() -> None:
    """What a bot sees goes into logs, to users and to their webhooks."""
    verdict = nothing_known(Snapshot(url="https://teams.example/meet/1?p=secret"))

    assert verdict.evidence == "nothing known is visible at 'https://teams.example/meet/1'"


def test_a_failed_step_tells_no_secret_and_no_more_than_a_status_holds() -> None:
    """An address may be longer than either."""
    failed = StepFailed(
        "page_unreachable", f"https://j.example/room?jwt=secret: refused; https://j.example/{'x' * 8_000}"
    )

    assert "secret" not in failed.evidence + str(failed)
    assert len(failed.evidence) == MAX_EVIDENCE

"""The signature of a delivery."""

import hashlib
import hmac

from vexa_functions.webhooks.signing import signed_headers

SECRET = "a secret of sixteen or more"
BODY = '{"event_id":"s1:status:1:meeting.status_change","name":"Žofie"}'.encode()


def test_a_receiver_can_check_the_signature() -> None:
    """HMAC-SHA256 over the timestamp, a full stop and the raw body."""
    headers = signed_headers(BODY, secret=SECRET, now_s=1_800_000_000)

    expected = hmac.new(SECRET.encode(), b"1800000000." + BODY, hashlib.sha256).hexdigest()
    assert headers == {"X-Webhook-Timestamp": "1800000000", "X-Webhook-Signature": f"sha256={expected}"}


def test_each_part_changes_the_signature() -> None:
    """Neither body, time nor secret can be swapped."""
    variants = [
        signed_headers(BODY, secret=SECRET, now_s=1),
        signed_headers(BODY + b" ", secret=SECRET, now_s=1),
        signed_headers(BODY, secret=SECRET, now_s=2),
        signed_headers(BODY, secret=SECRET + "!", now_s=1),
    ]

    assert len({headers["X-Webhook-Signature"] for headers in variants}) == 4


def test_the_secret_never_leaves() -> None:
    """Headers prove it without holding it."""
    assert SECRET not in str(signed_headers(BODY, secret=SECRET, now_s=1))


def test_without_a_secret_nothing_is_signed() -> None:
    """A signature that nobody can check would only look like one."""
    assert list(signed_headers(BODY, secret=None, now_s=1)) == ["X-Webhook-Timestamp"]

"""The signed identity between the gateway and the functions."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from starlette.requests import Request

from vexa_events.errors import Unauthenticated
from vexa_functions.auth.identity import AUDIENCE, HEADER, LEEWAY, LIFETIME, verify_identity

KEY = "k" * 32


def a_request(*, clock_ahead_s: float) -> Request:
    """Sign as a gateway does whose clock is ahead, or behind."""
    now = datetime.now(UTC) + timedelta(seconds=clock_ahead_s)
    claims = {"sub": "7", "scopes": ["user"], "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME}
    signed = jwt.encode(claims, KEY, algorithm="HS256")
    return Request({"type": "http", "headers": [(HEADER.encode(), signed.encode())]})


@pytest.mark.parametrize("clock_ahead_s", [-100.0, 0.0, 50.0], ids=["behind", "right", "ahead"])
def test_clocks_may_differ_by_a_minute(clock_ahead_s: float) -> None:
    """Setting a machine's clock turns nobody away."""
    assert verify_identity(a_request(clock_ahead_s=clock_ahead_s), key=KEY).user_id == 7


def test_an_old_signature_is_refused() -> None:
    """However wide the leeway, it ends."""
    age_s = (LIFETIME + LEEWAY).total_seconds() + 5.0

    with pytest.raises(Unauthenticated, match="ExpiredSignatureError"):
        verify_identity(a_request(clock_ahead_s=-age_s), key=KEY)

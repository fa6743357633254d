"""The bot's credential."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vexa_events.errors import Unauthenticated
from vexa_events.session_token import (
    AUDIENCE,
    MAX_TOKEN_CHARS,
    SessionClaims,
    issue_session_token,
    renewed_session_token,
    verify_session_token,
)

KEY = "k" * 32
CLAIMS = SessionClaims.model_validate({"sub": "s-1", "meeting": 5, "user": 17})


def payload(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    whole = {"sub": "s-1", "meeting": 5, "user": 17, "aud": AUDIENCE, "exp": now + timedelta(hours=1), **changes}
    return {name: value for name, value in whole.items() if value is not None}


def part(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_token_proves_its_claims() -> None:
    """The bearer acts for the session that was named, and no other."""
    token = issue_session_token(CLAIMS, key=KEY, now=datetime.now(UTC), lifetime=timedelta(minutes=1))

    assert verify_session_token(token, key=KEY) == CLAIMS


@pytest.mark.parametrize(("age_s", "is_renewed"), [(0, False), (29, False), (30, True), (59, True)])
def test_a_token_is_followed_by_another_from_half_of_its_time_on(age_s: int, is_renewed: bool) -> None:
    """For the same session, and good for the whole of the new lifetime."""
    now = datetime.now(UTC).replace(microsecond=0)
    token = issue_session_token(CLAIMS, key=KEY, now=now - timedelta(seconds=age_s), lifetime=timedelta(minutes=1))

    following = renewed_session_token(token, key=KEY, now=now, lifetime=timedelta(hours=1))

    assert (following is not None) == is_renewed
    if following is not None:
        assert verify_session_token(following, key=KEY) == CLAIMS
        expires_s = jwt.decode(following, KEY, algorithms=["HS256"], audience=AUDIENCE)["exp"]
        assert expires_s == (now + timedelta(hours=1)).timestamp()


def test_a_token_from_a_clock_that_is_ahead_is_good() -> None:
    """Machines do not agree on the time: only the end of a token counts."""
    ahead = datetime.now(UTC) + timedelta(minutes=2)
    token = issue_session_token(CLAIMS, key=KEY, now=ahead, lifetime=timedelta(minutes=1))

    assert verify_session_token(token, key=KEY) == CLAIMS


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(
            issue_session_token(
                CLAIMS, key=KEY, now=datetime.now(UTC) - timedelta(hours=2), lifetime=timedelta(hours=1)
            ),
            id="expired",
        ),
        pytest.param(jwt.encode(payload(), "x" * 32, algorithm="HS256"), id="another key"),
        pytest.param(jwt.encode(payload(), KEY * 2, algorithm="HS512"), id="another algorithm"),
        pytest.param(jwt.encode(payload(), None, algorithm="none"), id="unsigned"),
        pytest.param(".".join([part('{"alg":"none"}'), part("{}"), ""]), id="unsigned by hand"),
        pytest.param(jwt.encode(payload(aud="vexa-user"), KEY, algorithm="HS256"), id="another audience"),
        pytest.param(jwt.encode(payload(aud=None), KEY, algorithm="HS256"), id="no audience"),
        pytest.param(jwt.encode(payload(exp=None), KEY, algorithm="HS256"), id="never expires"),
        pytest.param(jwt.encode(payload(sub=None), KEY, algorithm="HS256"), id="no session"),
        pytest.param(jwt.encode(payload(meeting=0), KEY, algorithm="HS256"), id="impossible meeting"),
        pytest.param(jwt.encode(payload(user=None), KEY, algorithm="HS256"), id="no user"),
        pytest.param(jwt.encode(payload(sub="a b"), KEY, algorithm="HS256"), id="impossible session"),
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="not a token"),
        pytest.param("\ud800.b.c", id="half a character"),
        pytest.param(f"{part('[' * 2_000)}.{part('{}')}.AAAA", id="nested header"),
        pytest.param(jwt.encode(payload(note="x" * MAX_TOKEN_CHARS), KEY, algorithm="HS256"), id="too long"),
    ],
)
def test_a_token_that_proves_nothing_is_refused(token: str) -> None:
    """Refused in one way, and without repeating the token."""
    with pytest.raises(Unauthenticated) as caught:
        verify_session_token(token, key=KEY)

    assert not token or token not in str(caught.value)


@given(st.text() | st.tuples(st.text(), st.text(), st.text()).map(lambda parts: ".".join(map(part_of_any, parts))))
def test_no_text_breaks_the_check(token: str) -> None:
    """A stranger's text is refused, never an error of ours."""
    with pytest.raises(Unauthenticated):
        verify_session_token(token, key=KEY)


def part_of_any(text: str) -> str:
    return urlsafe_b64encode(text.encode(errors="replace")).decode().rstrip("=")

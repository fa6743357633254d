"""The bot's credential: a signed, expiring token that names one session and nothing else."""

from datetime import datetime, timedelta
from typing import Any

import jwt
from jwt.types import Options
from pydantic import Field, ValidationError

from vexa_events.errors import Unauthenticated
from vexa_events.fields import Message, RowId, Uid

AUDIENCE = "vexa-session"
_ALGORITHM = "HS256"
_OPTIONS: Options = {"require": ["exp", "sub", "aud"], "verify_iat": False}
"""A token from a clock that is ahead is as good as any: only its end counts."""
MIN_KEY_BYTES = 32
MAX_TOKEN_CHARS = 4_096


class SessionClaims(Message):
    """What the bearer may act for."""

    session_uid: Uid = Field(alias="sub")
    meeting_id: RowId = Field(alias="meeting")
    user_id: RowId = Field(alias="user")


def issue_session_token(claims: SessionClaims, *, key: str, now: datetime, lifetime: timedelta) -> str:
    """Sign the claims; the token is refused once `lifetime` has passed."""
    payload = {**claims.model_dump(by_alias=True), "aud": AUDIENCE, "iat": now, "exp": now + lifetime}
    return jwt.encode(payload, key, algorithm=_ALGORITHM)


def verify_session_token(token: str, *, key: str) -> SessionClaims:
    """Return the claims, or raise Unauthenticated without repeating the token."""
    return _verified(token, key)[0]


def renewed_session_token(token: str, *, key: str, now: datetime, lifetime: timedelta) -> str | None:
    """Issue the token to follow this one once half of its time has passed; None before. Raises Unauthenticated."""
    claims, payload = _verified(token, key)
    issued_s = payload.get("iat", payload["exp"])
    if now.timestamp() - issued_s < (payload["exp"] - issued_s) / 2:
        return None
    return issue_session_token(claims, key=key, now=now, lifetime=lifetime)


def _verified(token: str, key: str) -> tuple[SessionClaims, dict[str, Any]]:
    if len(token) > MAX_TOKEN_CHARS:
        raise Unauthenticated(f"session token refused: {len(token)} characters")
    try:
        payload = jwt.decode(token, key, algorithms=[_ALGORITHM], audience=AUDIENCE, options=_OPTIONS)
        return SessionClaims.model_validate(payload), payload
    except (jwt.InvalidTokenError, ValidationError, UnicodeError, RecursionError) as exc:
        raise Unauthenticated(f"session token refused: {type(exc).__name__}") from exc

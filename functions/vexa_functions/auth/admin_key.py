"""The administrator's key, compared in constant time."""

import hmac
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from starlette.requests import Request

from vexa_events.errors import Forbidden, Unauthenticated

HEADER = "x-admin-api-key"
_WORDS = """
admin api change changeme default development example for in insecure key letmein local me my password
please production secret super test the this token vexa with your
"""
"""Of these the defaults in manuals and examples are made."""


def _is_well_known(key: str) -> bool:
    rest = key.lower()
    for word in sorted(_WORDS.split(), key=len, reverse=True):
        rest = rest.replace(word, "")
    return len({character for character in rest if character.isalnum()}) < 4


def _own(key: SecretStr) -> SecretStr:
    if _is_well_known(key.get_secret_value()):
        raise ValueError(
            "is a default that everybody knows; set one of your own, for example from `openssl rand -hex 32`"
        )
    return key


AdminKey = Annotated[SecretStr, Field(min_length=16), AfterValidator(_own)]
"""The administrator's key as a setting: long, and no default from a manual."""


def check_admin_key(request: Request, *, key: str) -> None:
    """Raise Unauthenticated without a key, Forbidden for a wrong one."""
    given = request.headers.get(HEADER)
    if given is None:
        raise Unauthenticated("X-Admin-API-Key is missing")
    if not hmac.compare_digest(given.encode(), key.encode()):
        raise Forbidden("X-Admin-API-Key is not the administrator's")

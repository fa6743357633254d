"""API keys: made once, shown once, known afterwards only by their hash."""

import hashlib
import secrets

KEY_MARK = "vxa_"
SHOWN_CHARACTERS = 12
"""How much of a key may be shown in lists, mark included."""


def new_api_key() -> str:
    """Make a key with 256 bits of randomness."""
    return KEY_MARK + secrets.token_urlsafe(32)


def hash_api_key(key: str) -> bytes:
    """Hash a key for storage and look-up; it is random enough to need neither salt nor stretching."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def key_prefix(key: str) -> str:
    """Return the part of a key by which its owner recognises it."""
    return key[:SHOWN_CHARACTERS]

"""How a receiver knows that a delivery is ours: a signature over time and body."""

import hashlib
import hmac

SIGNATURE_HEADER = "X-Webhook-Signature"
TIMESTAMP_HEADER = "X-Webhook-Timestamp"


def signed_headers(body: bytes, *, secret: str | None, now_s: int) -> dict[str, str]:
    """Return the headers that tell when an attempt was made and, where there is a secret, prove it."""
    headers = {TIMESTAMP_HEADER: str(now_s)}
    if secret is not None:
        headers[SIGNATURE_HEADER] = f"sha256={signature(body, secret=secret, now_s=now_s)}"
    return headers


def signature(body: bytes, *, secret: str, now_s: int) -> str:
    """Return the hexadecimal HMAC-SHA256 of `<timestamp>.` and the raw body."""
    return hmac.new(secret.encode(), str(now_s).encode() + b"." + body, hashlib.sha256).hexdigest()

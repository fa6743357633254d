"""
Whether a handshake is let through when no slot is free.

A balancer that gets a 503 tries another worker; it numbers its attempts. On its
last one, as for a client that comes by itself, the handshake succeeds and the
refusal is said in the protocol: WAIT, which stock clients and bots understand.
"""

from collections.abc import Mapping

ATTEMPTS = 3
"""Workers that the balancer asks, at most."""
ATTEMPT_HEADER = "x-envoy-attempt-count"


def is_refused_at_handshake(headers: Mapping[str, str], *, free: int, is_draining: bool) -> bool:
    """Tell whether a handshake gets a 503; a draining worker takes nobody, however they come."""
    if is_draining:
        return True
    attempt = headers.get(ATTEMPT_HEADER, "")
    return not free and attempt.isdigit() and 0 < int(attempt) < ATTEMPTS

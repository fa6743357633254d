"""What can go wrong while the stack starts or runs, in words for the person at the terminal."""

from vexa_events.errors import VexaError


class StartFailed(VexaError):
    """A part did not come up; the message says which, why and what to do."""

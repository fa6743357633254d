"""The bot's proof of its session: one token at a time, the next of which comes before it expires."""

from dataclasses import dataclass


@dataclass(slots=True)
class Credential:
    """What whoever asks in the session's name shows; look it up at each use."""

    token: str

"""What the gateway itself answers."""

from vexa_functions.answers import Answer


class HealthAnswer(Answer):
    """The gateway answers."""

    status: str
    service: str

"""The errors raised on purpose; doors map them to status codes, in one table each."""


class VexaError(Exception):
    """Base of every error raised on purpose."""


class InvalidMessage(VexaError):
    """The sender is wrong; trying again cannot help."""


class TooLarge(InvalidMessage):
    """More was sent than is ever read."""


class NotFound(VexaError):
    """The named thing does not exist for this caller."""


class Unauthenticated(VexaError):
    """No credential, or one that proves nobody."""


class Forbidden(VexaError):
    """The caller is known and may not do this."""


class Conflict(VexaError):
    """The state of the named thing forbids this now."""


class Overloaded(VexaError):
    """Refused at the door; trying again later is right."""


class Unavailable(VexaError):
    """Something we depend on failed; trying again may help."""

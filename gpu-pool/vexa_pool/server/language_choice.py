"""Which language a stream is in, from what the model takes each window for: pure."""

SURE = 0.8
"""One window suffices."""
LIKELY = 0.5
"""Two in a row that agree suffice."""


class LanguageChoice:
    """Doubts until the windows agree, then keeps to its word: one odd window changes nothing."""

    def __init__(self, language: str | None) -> None:
        """`language` is the one that was asked for, if any."""
        self.settled = language
        self._last: str | None = None

    def hear(self, language: str, probability: float) -> bool:
        """Take in one window that has words; tell whether this settles it."""
        if self.settled is not None:
            return False
        agrees = probability > LIKELY and language == self._last
        self._last = language if probability > LIKELY else None
        if probability > SURE or agrees:
            self.settled = language
        return self.settled is not None

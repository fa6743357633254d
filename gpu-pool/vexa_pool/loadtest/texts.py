"""Text as words that can be compared: numbers folded, no case, no punctuation."""

from functools import lru_cache

from whisper_normalizer.english import EnglishTextNormalizer

_normalized = EnglishTextNormalizer()


@lru_cache(maxsize=50_000)
def tokens(text: str) -> tuple[str, ...]:
    """Split into normalised words."""
    return tuple(str(_normalized(text)).split())

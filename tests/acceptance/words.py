"""How much of what was said is missing from what was read."""

import jiwer


def lost_share(said: str, read: str) -> float:
    """Return the share of words that were lost or misheard; the model now and then tells a sentence twice."""
    compared = jiwer.process_words(said, read)
    return (compared.substitutions + compared.deletions) / max(1, len(said.split()))

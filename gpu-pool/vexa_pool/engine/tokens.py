"""Whisper's tokens read as words with times; knows the tokenizer, not the model."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

from faster_whisper.tokenizer import Tokenizer

from vexa_pool.streaming.words import SpokenWord

TIMESTAMP_STEP_S = 0.02
END_TOLERANCE_S = 0.1
OPENING_TOKENS = 3
MOST_TOKENS_PER_S = 8
"""Of the quickest speech."""
STRAY_S = 0.5
"""How far a timestamp may be from where the voice ends."""
LONGEST_WORD_S = 1.0
"""The aligner stretches the word beside a pause over the pause; a word longer than this is cut back."""
SENTENCE_ENDS = (".", "?", "!", "\u3002", "\uff1f", "\uff01")
PUNCTUATION = frozenset(string.punctuation + "\u3001\u3002\uff0c\uff1f\uff01\uff1a\uff1b")
"""ASCII and the full-width marks of Chinese and Japanese."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text tokens between two timestamps."""

    start_s: float
    end_s: float
    tokens: tuple[int, ...]


def read_pieces(ids: Sequence[int], tokenizer: Tokenizer, *, speech_s: float) -> list[Piece]:
    """
    Split a decode at its timestamps and drop what follows the end of speech.

    With a short encoder window the model, its speech told, starts over. The
    timestamp of the first telling's end gives that away, or, where that one
    strays, that the telling begins again with more than there is room for.
    """
    pieces: list[Piece] = []
    start_s, tokens = 0.0, list[int]()
    for token in ids:
        if token < tokenizer.eot:
            tokens.append(token)
        elif token >= tokenizer.timestamp_begin:
            at_s = (token - tokenizer.timestamp_begin) * TIMESTAMP_STEP_S
            if tokens:
                if _starts_over(pieces, tokens, room_s=speech_s - start_s):
                    return pieces
                pieces.append(Piece(start_s, at_s, tuple(tokens)))
                tokens = []
                if at_s >= speech_s - END_TOLERANCE_S:
                    return pieces
            start_s = at_s
    if tokens and not _starts_over(pieces, tokens, room_s=speech_s - start_s):
        pieces.append(Piece(start_s, speech_s, tuple(tokens)))
    return pieces


def _starts_over(told: Sequence[Piece], tokens: Sequence[int], *, room_s: float) -> bool:
    """Tell whether a piece begins as the first one did, and has more tokens than can be spoken in what is left."""
    if not told or tuple(tokens[:OPENING_TOKENS]) != told[0].tokens[:OPENING_TOKENS]:
        return False
    return len(tokens) > MOST_TOKENS_PER_S * (room_s + STRAY_S)


def is_told(ids: Sequence[int], tokenizer: Tokenizer, *, speech_s: float) -> bool:
    """Tell whether a decode reached the end of speech; what follows there is dropped."""
    first_word = next((at for at, token in enumerate(ids) if token < tokenizer.eot), len(ids))
    end = tokenizer.timestamp_begin + (speech_s - END_TOLERANCE_S) / TIMESTAMP_STEP_S
    return any(token >= end for token in ids[first_word:])


def spread_words(pieces: Sequence[Piece], tokenizer: Tokenizer, *, speech_s: float) -> list[SpokenWord]:
    """Give words rough times: each piece's time shared out by length."""
    words: list[SpokenWord] = []
    for piece in pieces:
        texts, _ = tokenizer.split_to_word_tokens(list(piece.tokens))
        start_s, end_s = min(piece.start_s, speech_s), min(piece.end_s, speech_s)
        per_char_s = (end_s - start_s) / max(1, sum(len(text) for text in texts))
        for text in texts:
            until_s = start_s + per_char_s * len(text)
            words.append(SpokenWord(text=text, start_s=start_s, end_s=until_s))
            start_s = until_s
    return _with_punctuation_attached(words)


def aligned_words(
    tokens: Sequence[int], tokenizer: Tokenizer, *, jump_times_s: Sequence[float], probabilities: Sequence[float]
) -> list[SpokenWord]:
    """Give words the times at which the aligner's path enters their tokens."""
    texts, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    words: list[SpokenWord] = []
    first = 0
    for text, group in zip(texts[:-1], groups[:-1], strict=True):
        last = first + len(group)
        heard = probabilities[first:last]
        words.append(
            SpokenWord(
                text=text,
                start_s=jump_times_s[first],
                end_s=jump_times_s[min(last, len(jump_times_s) - 1)],
                probability=sum(heard) / max(1, len(heard)),
            )
        )
        first = last
    return _without_stretches(_with_punctuation_attached(words))


def _with_punctuation_attached(words: Sequence[SpokenWord]) -> list[SpokenWord]:
    merged: list[SpokenWord] = []
    for word in words:
        if merged and set(word.text) <= PUNCTUATION:
            merged[-1] = replace(merged[-1], text=merged[-1].text + word.text)
        else:
            merged.append(word)
    return merged


def _without_stretches(words: Sequence[SpokenWord]) -> list[SpokenWord]:
    cut: list[SpokenWord] = []
    for word in words:
        if word.end_s - word.start_s <= LONGEST_WORD_S:
            cut.append(word)
        elif not cut or cut[-1].text.endswith(SENTENCE_ENDS):
            cut.append(replace(word, start_s=word.end_s - LONGEST_WORD_S))
        else:
            cut.append(replace(word, end_s=word.start_s + LONGEST_WORD_S))
    return cut

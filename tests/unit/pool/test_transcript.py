"""What is committed of speech that goes on."""

from vexa_pool.streaming.clock import samples_in
from vexa_pool.streaming.passes import Pass
from vexa_pool.streaming.transcript import Transcript
from vexa_pool.streaming.window import Transcription
from vexa_pool.streaming.words import SpokenWord


def heard(*texts: str) -> Transcription:
    words = (SpokenWord(text=text, start_s=0.5 * n, end_s=0.5 * n + 0.4) for n, text in enumerate(texts))
    return Transcription(words=tuple(words), language="en")


def committed(*decodes: Transcription) -> list[str]:
    """Commit by checkpoints, one after another."""
    transcript, texts = Transcript(0, ()), []
    for number, decode in enumerate(decodes):
        end = samples_in(3.5 + 1.75 * number)
        done = Pass(start=0, speech_end=end, end=end, is_final=False)
        words = transcript.fresh(0, decode)
        texts += [segment.text for segment in transcript.agree(done, words, decode, end_s=6.0)]
    return texts


def test_the_last_word_that_is_agreed_on_waits() -> None:
    """It may still grow."""
    assert committed(heard(" the", " daily", " stand"), heard(" the", " daily", " stand", " today")) == ["the daily"]


def test_no_cut_goes_through_a_written_word() -> None:
    """ "stand-up" comes as two words of the model and stays in one segment."""
    decode = heard(" the", " daily", " stand", "-up")

    assert committed(decode, decode) == ["the daily"]

"""What a page may tell us, and what it may not."""

import base64
import json

import pytest

from vexa_bot.browser.page_messages import MAX_MESSAGE_CHARS, AudioChunk, PageFacts, TrackEnded, parse_page_message
from vexa_events.errors import InvalidMessage

DOC = "0123456789abcdef"


def _text(**fields: object) -> str:
    return json.dumps({"doc": DOC, **fields})


def test_each_kind_is_told_apart() -> None:
    """By its kind alone."""
    pcm = base64.b64encode(bytes(6_400)).decode()

    assert isinstance(parse_page_message(_text(kind="audio", track=1, first=0, at=1.0, pcm=pcm)), AudioChunk)
    assert isinstance(parse_page_message(_text(kind="ended", track=1)), TrackEnded)
    assert isinstance(parse_page_message(_text(kind="facts")), PageFacts)


def test_samples_are_whole_milliseconds() -> None:
    """A rest of less than one is left out."""
    chunk = parse_page_message(_text(kind="audio", track=1, first=0, at=1.0, pcm=base64.b64encode(bytes(70)).decode()))

    assert isinstance(chunk, AudioChunk)
    assert len(chunk.samples) == 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        _text(kind="command"),
        _text(kind="ended", track=0),
        _text(kind="ended", track=1).replace(DOC, "../x"),
        _text(kind="audio", track=1, first=-1, at=1.0, pcm=""),
        _text(kind="audio", track=1, first=0, at=1.0, pcm="A" * 20_000),
        _text(kind="audio", track=1, first=0, at=1.0, pcm="§§§§"),
        _text(kind="audio", track=1, first=0, at=1.0, pcm="AAAAA"),
        _text(kind="audio", track=1, first=0, at=1.0, pcm=None),
        _text(kind="facts", people=[{"id": "x", "name": "y" * 2_000}]),
        _text(kind="facts", people=[{"id": "x", "name": "y"}] * 301),
        _text(kind="facts", people=[{"id": "x", "name": "y\x00"}]),
        _text(kind="facts", owners={"1": "y" * 256}),
        _text(kind="speaking", at=1.0, names=["y\x00"]),
        _text(kind="speaking", at=float("inf"), names=["y"]),
        _text(kind="ended", track=1, more=1)[:-1] + ',"kind":"speaking","at":1e999,"names":[]}',
        _text(kind="facts", marks={"a": "x" * MAX_MESSAGE_CHARS}),
    ],
)
def test_what_a_page_must_not_send_is_refused(text: str) -> None:
    """A page is a stranger's program."""
    with pytest.raises(InvalidMessage):
        parse_page_message(text)

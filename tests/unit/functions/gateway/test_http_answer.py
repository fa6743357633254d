"""Reading answers of functions, however they arrive."""

import pytest

from vexa_events.errors import Unavailable
from vexa_functions.gateway.http_answer import Answer, AnswerReader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;name=value\r\nbo\r\n2\r\ndy\r\n0\r\nTrailer: yes\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN


@pytest.mark.parametrize("sent", [PLAIN, CHUNKED, EMPTY, EARLY])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_answer_is_the_same_in_pieces_of_any_size(sent: bytes, size: int) -> None:
    """It is complete with its last byte and not before, and the connection can be used again."""
    reader = AnswerReader(to_head=False)
    pieces = [sent[first : first + size] for first in range(0, len(sent), size)]

    complete = [reader.feed(piece) for piece in pieces]

    assert complete == [False] * (len(pieces) - 1) + [True]
    assert reader.is_reusable
    assert reader.answer is not None
    assert reader.answer.body == (b"" if sent == EMPTY else b"body")
    assert reader.answer.status == (204 if sent == EMPTY else 200)


def test_the_answer_to_a_head_has_a_length_and_no_body() -> None:
    """The length belongs to the answer that a GET would get."""
    reader = AnswerReader(to_head=True)

    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
    assert reader.answer == Answer(200, [(b"content-length", b"400")], b"")


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    """The connection is not used again."""
    reader = AnswerReader(to_head=False)

    assert not reader.feed(b"HTTP/1.0 200 OK\r\n\r\nbo")
    assert not reader.feed(b"dy")
    assert reader.end().body == b"body"
    assert not reader.is_reusable


@pytest.mark.parametrize("sent", [b"", PLAIN[:10], PLAIN[:-1], CHUNKED[:-1]])
def test_an_answer_that_is_cut_short_is_none(sent: bytes) -> None:
    """A caller never sees half an answer."""
    reader = AnswerReader(to_head=False)
    reader.feed(sent)

    with pytest.raises(Unavailable):
        reader.end()


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_refused(sent: bytes) -> None:
    """The other side is not to be trusted with the connection any longer."""
    with pytest.raises(Unavailable):
        AnswerReader(to_head=False).feed(sent)


@pytest.mark.parametrize("closing", [PLAIN + b"HTTP/1.1", PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
def test_a_connection_is_given_up_where_the_other_side_says_so(closing: bytes) -> None:
    """Bytes behind an answer belong to nobody."""
    reader = AnswerReader(to_head=False)

    assert reader.feed(closing)
    assert not reader.is_reusable

"""HTTP/1.1 as the gateway speaks it to functions."""

import pytest

from vexa_events.errors import InvalidMessage
from vexa_functions.gateway.exchange import (
    MAX_ANSWER_BYTES,
    MAX_HEAD_BYTES,
    Answer,
    AnswerParser,
    BrokenAnswer,
    spell_request,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-Late: 1\r\n\r\n"


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n", 201, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (CHUNKED, 200, b"hello"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + CHUNKED, 200, b"hello"),
    ],
)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(said: bytes, status: int, body: bytes, step: int) -> None:
    """Lengths, chunks, trailers and announcements are understood; trailers and announcements are not passed on."""
    answer = read(said, step=step)

    assert (answer.status, answer.body) == (status, body)
    assert {name for name, _ in answer.headers} <= {b"content-length", b"transfer-encoding"}


def test_an_answer_to_head_ends_with_its_headers() -> None:
    """The length that it tells is that of a body which does not come."""
    parser = AnswerParser(is_to_head=True)

    answer = parser.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")

    assert answer == Answer(200, [(b"content-length", b"5")], b"")
    assert parser.is_last


@pytest.mark.parametrize(
    ("said", "is_last"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", True),
    ],
)
def test_an_answer_tells_whether_another_may_follow(said: bytes, is_last: bool) -> None:
    """A connection that its server will close is not used again."""
    parser = AnswerParser(is_to_head=False)

    parser.feed(said)

    assert parser.is_last is is_last


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD_BYTES,
        b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD_BYTES,
    ],
    ids=[
        "no HTTP",
        "another protocol",
        "two lengths",
        "bad chunk",
        "two answers",
        "body of 204",
        "long head",
        "no end",
    ],
)
def test_what_is_no_answer_is_refused(said: bytes) -> None:
    """Nothing that could be read in two ways, or without end, is passed on."""
    parser = AnswerParser(is_to_head=False)

    with pytest.raises(BrokenAnswer):
        parser.feed(said)


def test_an_answer_over_the_bound_is_refused() -> None:
    """Whatever length it tells, it is not kept beyond the bound."""
    parser = AnswerParser(is_to_head=False)
    parser.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % (MAX_ANSWER_BYTES * 2))
    parser.feed(bytes(MAX_ANSWER_BYTES))

    with pytest.raises(BrokenAnswer, match="over"):
        parser.feed(b"x")


def test_an_answer_without_a_marked_end_never_ends() -> None:
    """A server that ends an answer by closing cannot be told from one that died."""
    assert AnswerParser(is_to_head=False).feed(b"HTTP/1.1 200 OK\r\n\r\nperhaps all") is None


def test_a_request_tells_the_length_of_its_body() -> None:
    """A body has a length, an empty one as well where the method would have one."""
    headers = [(b"accept", b"*/*")]

    assert spell_request("GET", b"/a?b=c", b"host:1", headers, b"") == (
        b"GET /a?b=c HTTP/1.1\r\nhost: host:1\r\naccept: */*\r\n\r\n"
    )
    assert spell_request("POST", b"/", b"h", [], b"{}").endswith(b"\r\ncontent-length: 2\r\n\r\n{}")
    assert spell_request("DELETE", b"/", b"h", [], b"").endswith(b"\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "value"),
    [(b"/a\r\nx: y", b""), (b"/a b", b""), (b"/", b"a\nx: y"), (b"/", b"a\rx: y"), (b"/", b"a\r\n\r\nGET / HTTP/1.1")],
)
def test_a_value_cannot_end_its_line(target: bytes, value: bytes) -> None:
    """Whatever server the gateway runs in: no caller writes headers or requests of its own."""
    with pytest.raises(InvalidMessage):
        spell_request("GET", target, b"h", [(b"accept", value)], b"")


def read(said: bytes, *, step: int) -> Answer:
    parser = AnswerParser(is_to_head=False)
    answers = [parser.feed(said[at : at + step]) for at in range(0, len(said), step)]
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert answers[-1] is not None
    return answers[-1]

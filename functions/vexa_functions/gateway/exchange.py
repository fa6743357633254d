"""
HTTP/1.1 as a client speaks it, without I/O: a request as bytes, bytes as an answer.

Stricter than most clients, because it is our own functions that answer: an
answer whose end is not marked is none, for a cut could not be told from an end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import httptools

from vexa_events.errors import InvalidMessage

MAX_HEAD_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_SWITCHING_PROTOCOLS = 101

Headers = Sequence[tuple[bytes, bytes]]


class BrokenAnswer(Exception):
    """What came is no answer to what was asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; header names are lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def spell_request(method: str, target: bytes, authority: bytes, headers: Headers, body: bytes) -> bytes:
    """Spell a request; raise InvalidMessage for a value that would be read as more than one."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target), b"host: " + authority]
    lines += [b"%b: %b" % header for header in headers]
    if body or method not in {"GET", "HEAD"}:
        lines.append(b"content-length: %d" % len(body))
    lines += [b"", body]
    head = b"\r\n".join(lines[:-1])
    if head.count(b"\n") != len(lines) - 2 or head.count(b"\r") != len(lines) - 2 or b" " in target:
        raise InvalidMessage("the path and headers must not contain line breaks")
    return b"\r\n".join((head, body))


class AnswerParser:
    """Reads the answer to one request."""

    def __init__(self, *, is_to_head: bool) -> None:
        """The answer to a HEAD ends with its headers, whatever length they tell."""
        self._is_to_head = is_to_head
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_bytes = self._body_bytes = 0
        self._has_head = False
        self._answer: Answer | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self.is_last = True
        """The connection carries no answer after this one."""

    def feed(self, data: bytes) -> Answer | None:
        """Return the answer once it is complete; raise BrokenAnswer."""
        if self._parser is None:
            raise BrokenAnswer("more than the answer")
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            raise BrokenAnswer(str(exc.__context__ or exc)) from exc
        if not self._has_head and self._head_bytes > MAX_HEAD_BYTES:
            raise BrokenAnswer(f"the headers are over {MAX_HEAD_BYTES} bytes")
        if self._answer is not None:
            self._parser = None  # it refers back to this object
        return self._answer

    def on_message_begin(self) -> None:
        """Refuse a second answer; called by the parser, as are those below."""
        if self._answer is not None:
            raise BrokenAnswer("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what follows the body is no header of ours."""
        if not self._has_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Go on to the body, where the status has one."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status == _SWITCHING_PROTOCOLS:
            raise BrokenAnswer("switches protocols")
        self._has_head = status >= 200
        if self._has_head and self._is_to_head:
            self._answer = Answer(status, self._headers, b"")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._answer is not None:
            raise BrokenAnswer("a body where none belongs")
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > MAX_ANSWER_BYTES:
            raise BrokenAnswer(f"the answer is over {MAX_ANSWER_BYTES} bytes")

    def on_message_complete(self) -> None:
        """Put the answer together; one that only announces another is forgotten."""
        if not self._has_head:
            self._headers = []
        elif self._answer is None:
            assert self._parser is not None
            self._answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._body))
            self.is_last = not self._parser.should_keep_alive()

"""Reading one HTTP/1.1 answer from bytes as they arrive; no socket, no clock."""

from dataclasses import dataclass

from vexa_events.errors import Unavailable

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
_NO_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; header names are lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class AnswerReader:
    """
    Takes bytes until an answer is complete.

    Every method raises Unavailable for what is no HTTP/1.1 answer: the other
    side is then not to be talked to any further.
    """

    def __init__(self, *, to_head: bool) -> None:
        """`to_head` says that the request was a HEAD: its answer names a length and has no body."""
        self._to_head = to_head
        self._buffer = bytearray()
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._missing: int | None = None
        """Bytes of the body, or of the current chunk, that are still to come; None before that is known."""
        self._is_chunked = False
        self._is_until_close = False
        self.answer: Answer | None = None
        self.is_reusable = True
        """Whether another request may follow on the connection."""

    def feed(self, received: bytes) -> bool:
        """Take bytes; true once the answer is complete."""
        self._buffer += received
        if self._status == 0 and not self._read_head():
            return False
        if self.answer is None:
            self._read_body()
        if self.answer is not None and self._buffer:
            self.is_reusable = False
        return self.answer is not None

    def end(self) -> Answer:
        """The other side closed: return the answer if that is what ends it."""
        if self._status == 0 or not self._is_until_close:
            raise Unavailable("the connection closed before the answer was complete")
        return Answer(self._status, self._headers, bytes(self._body))

    def _read_head(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise Unavailable("the answer's headers are too long")
                return False
            first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
            del self._buffer[: end + 4]
            status = _status(first)
            if status >= 200:
                break
        self._status = status
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon:
                raise Unavailable("the answer has a line that is no header")
            self._headers.append((name.lower(), value.strip()))
        self._decide_framing(first.startswith(b"HTTP/1.0"))
        return True

    def _decide_framing(self, is_old: bool) -> None:
        headers = dict(self._headers)
        self.is_reusable = not is_old and headers.get(b"connection", b"").lower() != b"close"
        if self._to_head or self._status in _NO_BODY:
            self._finish()
        elif (coding := headers.get(b"transfer-encoding")) is not None:
            if coding.lower() != b"chunked":
                raise Unavailable("the answer has an unknown transfer coding")
            self._is_chunked = True
        elif (length := headers.get(b"content-length")) is not None:
            self._missing = _number(length, 10)
        else:
            self._is_until_close, self.is_reusable = True, False

    def _read_body(self) -> None:
        if self._is_chunked:
            self._read_chunks()
            return
        self._move(len(self._buffer) if self._missing is None else min(self._missing, len(self._buffer)))
        if self._missing == 0:
            self._finish()

    def _read_chunks(self) -> None:
        while self.answer is None:
            if self._missing is None:
                end = self._buffer.find(b"\r\n")
                if end < 0:
                    return
                self._missing = _number(bytes(self._buffer[:end]).partition(b";")[0].strip(), 16)
                del self._buffer[: end + 2]
                if self._missing == 0:
                    self._missing = -1
            if self._missing == -1:
                if not self._read_trailers():
                    return
            elif not self._read_chunk():
                return

    def _read_chunk(self) -> bool:
        """Read the rest of a chunk with the line end behind it."""
        self._move(min(self._missing or 0, len(self._buffer)))
        if self._missing or len(self._buffer) < 2:
            return False
        del self._buffer[:2]
        self._missing = None
        return True

    def _read_trailers(self) -> bool:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            del self._buffer[: end + 2]
            if end == 0:
                self._finish()
                return True
        return False

    def _move(self, size: int) -> None:
        self._body += self._buffer[:size]
        del self._buffer[:size]
        if self._missing is not None:
            self._missing -= size
        if len(self._body) > MAX_BODY_BYTES:
            raise Unavailable("the answer is too long")

    def _finish(self) -> None:
        self.answer = Answer(self._status, self._headers, bytes(self._body))


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
        raise Unavailable("the answer is not HTTP/1.1")
    return int(code)


def _number(text: bytes, base: int) -> int:
    digits = b"0123456789abcdefABCDEF" if base == 16 else b"0123456789"
    if not text or len(text) > 16 or text.strip(digits):
        raise Unavailable("the answer has a length that is no number")
    return int(text, base)

"""Log lines of many processes on one terminal."""

import io

from vexa_local.console import Console, in_words


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_json_log_line_is_shown_in_words() -> None:
    """People read the message first, then the facts."""
    level, words = in_words('{"time": "t", "level": "WARNING", "logger": "x", "message": "bot lost", "session_uid": 7}')

    assert (level, words) == ("WARNING", "WARNING bot lost session_uid=7")


def test_any_other_line_stays_as_it_is() -> None:
    """Postgres and Python speak for themselves."""
    assert in_words("{not json") == ("", "{not json")
    assert in_words('{"a": 1}') == ("", '{"a": 1}')


def test_a_traceback_follows_its_line() -> None:
    """A fault is shown whole."""
    assert in_words('{"level": "ERROR", "message": "oops", "traceback": "T"}')[1] == "ERROR oops\nT"


def test_there_are_no_colours_where_nobody_sees_them() -> None:
    """A file or a pipe gets plain text."""
    plain, coloured = io.StringIO(), Terminal()

    Console(plain).line("gateway", "hello")
    Console(coloured).line("gateway", "hello")

    assert plain.getvalue() == "gateway    hello\n"
    assert "\x1b[" in coloured.getvalue()

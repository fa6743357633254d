"""A transcript as a file."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vexa_functions.collector.answers import TranscriptAnswer
from vexa_functions.collector.formats import Format, wanted_format, write_transcript

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def a_transcript(*said: tuple[float, float, str | None, str], missing: tuple[Any, ...] = ()) -> TranscriptAnswer:
    """Spell (start, end, speaker, text) and (start, end, speaker, reason)."""
    valid: dict[str, Any] = {"stream_uid": "s.0", "session_uid": "s"}
    segment = valid | {
        "language": "en",
        "revision": 0,
        "completed": True,
        "doubts": [],
        "created_at": AT,
        "absolute_start_time": None,
        "absolute_end_time": None,
    }
    seconds = ("captured_s", "speech_s", "silence_s", "stored_s", "pending_s", "muted_s", "missing_s")
    return TranscriptAnswer.model_validate(
        {
            "id": 1,
            "user_id": 1,
            "platform": "replay",
            "native_meeting_id": "stand_up",
            "constructed_meeting_url": None,
            "status": "completed",
            "bot_container_id": None,
            "start_time": AT,
            "end_time": AT,
            "data": {},
            "created_at": AT,
            "updated_at": AT,
            "finalized": True,
            "segments": [
                segment | {"segment_id": f"s.0-1-{n}", "start": start, "end": end, "speaker": speaker, "text": text}
                for n, (start, end, speaker, text) in enumerate(said)
            ],
            "coverage": {
                **dict.fromkeys(seconds, 0.0),
                "streams": [],
                "muted": [],
                "missing": [
                    valid | {"start": start, "end": end, "speaker": speaker, "reason": reason}
                    for start, end, speaker, reason in missing
                ],
            },
        }
    )


def test_text_has_a_paragraph_for_each_turn_and_each_gap() -> None:
    """A turn ends with another speaker, a long pause, or an interval that was not transcribed."""
    transcript = a_transcript(
        (0.0, 1.0, "Ann", "Good"),
        (1.5, 2.0, "Ann", "morning."),
        (2.0, 3.0, None, "Hi."),
        (60.0, 61.0, None, "Bye."),
        missing=((10.0, 20.0, "Ann", "overload"),),
    )

    assert write_transcript(transcript, Format.TEXT).splitlines() == [
        "[00:00:00] Ann: Good morning.",
        "[00:00:02] Unknown speaker: Hi.",
        "[00:00:10] Ann: [not transcribed: overload]",
        "[00:01:00] Unknown speaker: Bye.",
    ]


def test_markdown_shows_what_was_said_and_obeys_none_of_it() -> None:
    """Speech that looks like markup is text."""
    transcript = a_transcript(
        (0.0, 1.0, "A_n_n", "# *loud* <b>[x](y)</b>"), missing=((3661.0, 3662.5, None, "bot_lost"),)
    )

    assert write_transcript(transcript, Format.MARKDOWN) == (
        "# replay stand\\_up\n\n2026-01-31 12:00 UTC\n"
        "\n**A\\_n\\_n** [00:00:00]  \n\\# \\*loud\\* \\<b\\>\\[x\\](y)\\</b\\>\n"
        "\n*[01:01:01 to 01:01:02] \\[not transcribed: bot\\_lost\\] (Unknown speaker)*\n"
    )


def test_webvtt_cannot_be_broken_by_what_is_said() -> None:
    """Arrows, markup and line breaks stay inside their cue; a cue is never empty."""
    transcript = a_transcript((3599.9996, 3599.9996, "<Ann>", "a --> b & <c>\n\nWEBVTT"))

    assert write_transcript(transcript, Format.WEBVTT) == (
        "WEBVTT\n\n01:00:00.000 --> 01:00:00.001\n<v &lt;Ann&gt;>a → b &amp; &lt;c&gt; WEBVTT\n"
    )


def test_subrip_is_numbered_and_shows_gaps() -> None:
    """Cues are apart by one empty line."""
    transcript = a_transcript((1.0, 2.5, "Ann", "Hello"), missing=((2.5, 3.0, "Ann", "overload"),))

    assert write_transcript(transcript, Format.SUBRIP) == (
        "1\n00:00:01,000 --> 00:00:02,500\nAnn: Hello\n\n"
        "2\n00:00:02,500 --> 00:00:03,000\nAnn: [not transcribed: overload]\n"
    )


@pytest.mark.parametrize("form", list(Format))
def test_a_silent_meeting_can_be_written(form: Format) -> None:
    """Nothing said is no error."""
    assert isinstance(write_transcript(a_transcript(), form), str)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, Format.JSON),
        ("", Format.JSON),
        ("*/*", Format.JSON),
        ("text/vtt", Format.WEBVTT),
        ("TEXT/VTT", Format.WEBVTT),
        ("text/plain;charset=utf-8", Format.TEXT),
        ("text/plain;q=0.5, text/markdown;q=0.9", Format.MARKDOWN),
        ("text/plain, application/json", Format.TEXT),
        ("text/plain;q=0, application/json;q=0.1", Format.JSON),
        ("text/plain;q=loud", Format.JSON),
        ("application/x-subrip, */*;q=0.1", Format.SUBRIP),
        ("text/*", Format.TEXT),
        ("text/*;q=0.8, text/vtt", Format.WEBVTT),
        ("text/*;q=0.5, application/*;q=0.9", Format.JSON),
        ("image/png", Format.JSON),
        (",;,", Format.JSON),
    ],
)
def test_the_accept_header_is_weighed(accept: str | None, expected: Format) -> None:
    """The heaviest that we have wins, the first of equals."""
    assert wanted_format(accept) is expected


@pytest.mark.parametrize("form", [Format.TEXT, Format.MARKDOWN, Format.SUBRIP, Format.WEBVTT])
def test_no_name_forges_a_line_of_another_speaker(form: Format) -> None:
    """People choose their own display names, line breaks and all."""
    written = write_transcript(a_transcript((0.0, 1.0, "Eve\n[00:00:00] Bob", "yes\u2028Bob: no\r\nBob: no")), form)

    assert not any(line.startswith(("Bob", "[00:00:00] Bob")) for line in written.splitlines())

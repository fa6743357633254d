"""What counts as unharmed."""

from typing import Any

import pytest

from vexa_local.chaos.checker import COMMIT_LAG_S, EXACT, HEARD, Death, Evidence, check_meeting, outage_at
from vexa_local.chaos.faults import BOT, CHANNEL, USER, Fault, FaultKind
from vexa_local.chaos.recordings import ReferenceWord

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
SPOKEN = {"Joe": tuple(ReferenceWord(text=text, start_s=n + 0.1, end_s=n + 0.9) for n, text in enumerate(WORDS))}
LENGTH_S = 8.0
TOLD = {"completed": ("meeting.completed", "transcription.ready"), "failed": ("bot.failed", "transcription.ready")}


def a_transcript(text: str = " ".join(WORDS), **fields: Any) -> dict[str, Any]:
    """One stream of Joe's, one segment a word."""
    segments = [
        {"segment_id": f"s.1-1-{n}", "stream_uid": "s.1", "speaker": "Joe", "text": word, "start": n, "end": n + 1}
        for n, word in enumerate(text.split())
    ]
    stream = {"stream_uid": "s.1", "speaker": "Joe", "captured_until": fields.pop("captured_until", LENGTH_S)}
    missing = fields.pop("missing", [])
    valid: dict[str, Any] = {
        "status": "completed",
        "data": {"reason": "meeting_ended"},
        "finalized": True,
        "segments": segments,
        "coverage": {
            "streams": [stream],
            "missing": missing,
            "missing_s": sum(gap["end"] - gap["start"] for gap in missing),
        },
    }
    return valid | fields


def evidence(transcript: dict[str, Any], *, death: Death | None = None, **changes: Any) -> Evidence:
    live = {segment["segment_id"]: segment["text"] for segment in transcript["segments"]}
    fields: dict[str, Any] = {
        "name": "standup-1",
        "length_s": LENGTH_S,
        "words_by_speaker": SPOKEN,
        "transcript": transcript,
        "live": live,
        "notices": TOLD[transcript["status"]],
        "death": death,
    }
    return Evidence(**(fields | changes))


def rules(of: Evidence) -> set[str]:
    return {finding.rule for finding in check_meeting(of, EXACT)[0]}


def a_gap(start: float, end: float, reason: str = "bot_lost") -> dict[str, Any]:
    return {"stream_uid": "s.1", "speaker": "Joe", "start": start, "end": end, "reason": reason}


def test_a_meeting_that_is_stored_whole_has_no_findings() -> None:
    """Every word once, captured to the end, shown as stored."""
    findings, words = check_meeting(evidence(a_transcript()), EXACT)

    assert findings == []
    assert (words.due, words.lost, words.extra) == (8, 0, 0)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("one two four five six seven eight", "lost"),
        ("one two three three four five six seven eight", "doubled"),
        ("one two thr~ four five six seven eight", "lost"),
        ("one two four three five six seven eight", "lost"),
    ],
    ids=["lost", "doubled", "clipped", "swapped"],
)
def test_a_single_wrong_word_is_found(text: str, rule: str) -> None:
    """Spelt words leave no room for error."""
    assert rule in rules(evidence(a_transcript(text)))


def test_words_under_another_speaker_are_lost_to_theirs() -> None:
    """Text is not enough: it has to be whose it was."""
    transcript = a_transcript()
    for segment in transcript["segments"]:
        segment["speaker"] = "Maya"

    assert {"lost", "doubled"} <= rules(evidence(transcript))


def test_missing_audio_is_a_finding_where_the_bot_lived() -> None:
    """However well it is explained; the words are lost all the same."""
    transcript = a_transcript("one two three four", missing=[a_gap(4.0, 8.0, "page_lost")])

    assert rules(evidence(transcript)) == {"missing", "lost"}


def test_a_killed_bot_may_cost_two_seconds() -> None:
    """What it had captured and not yet handed over, shown as bot_lost; what came later was never captured."""
    transcript = a_transcript(
        "one two three", status="failed", data={"reason": "bot_lost"}, captured_until=5.0, missing=[a_gap(3.0, 5.0)]
    )

    assert rules(evidence(transcript, death=Death(at_s=5.0, outage_s=0.0))) == set()


def test_a_killed_bot_may_not_cost_more() -> None:
    """Nor words that lie before what is shown missing."""
    transcript = a_transcript(
        "one", status="failed", data={"reason": "bot_lost"}, captured_until=6.0, missing=[a_gap(3.0, 6.0)]
    )

    assert rules(evidence(transcript, death=Death(at_s=6.0, outage_s=0.0))) == {"missing", "lost"}


def test_a_bot_that_was_killed_with_its_work_done_may_have_completed() -> None:
    """Its last report was on its way; one that left something undone is lost."""
    short = a_transcript("one two three", captured_until=3.0)

    assert rules(evidence(a_transcript(), death=Death(at_s=8.0, outage_s=0.0))) == set()
    assert "status" in rules(evidence(short, death=Death(at_s=3.0, outage_s=0.0)))


def test_a_bot_that_was_stopped_hears_until_then() -> None:
    """Words after that are not due, however the last one was cut; words before are."""
    stopped = a_transcript("one two three fo~", captured_until=3.4, data={"reason": "stopped_by_user"})

    assert rules(evidence(stopped, is_told_to_leave=True)) == set()
    assert "lost" in rules(evidence(a_transcript("one two", captured_until=3.4), is_told_to_leave=True))
    assert "status" in rules(evidence(stopped))


def test_a_bot_that_leaves_keeps_what_it_had_heard() -> None:
    """What was known as captured before the order may not vanish by it."""
    stopped = a_transcript("one", captured_until=1.4, data={"reason": "stopped_by_user"})

    assert rules(evidence(stopped, is_told_to_leave=True, captured_before={"Joe": 1.2})) == set()
    assert rules(evidence(stopped, is_told_to_leave=True, captured_before={"Joe": 3.0})) == {"captured"}


def test_a_user_who_is_not_told_is_a_finding() -> None:
    """Both of the end and of the transcript."""
    assert rules(evidence(a_transcript(), notices=("meeting.completed",))) == {"untold"}
    assert rules(evidence(a_transcript(), notices=("transcription.ready", "bot.failed"))) == {"untold"}


def test_what_watchers_saw_must_be_what_is_stored() -> None:
    """Neither less, nor more, nor other."""
    transcript = a_transcript()
    shown = evidence(transcript).live

    assert rules(evidence(transcript, live=dict(list(shown.items())[1:]))) == {"live"}
    assert rules(evidence(transcript, live={**shown, "s.1-1-9": "ghost"})) == {"live"}
    assert rules(evidence(transcript, live={**shown, "s.1-1-0": "other"})) == {"live"}
    assert rules(evidence(transcript, live=dict(list(shown.items())[1:]), is_watched=False)) == set()


def test_a_real_model_may_differ_by_a_few_words_but_lose_no_phrase() -> None:
    """Windows fall differently after a fault; three words in a row are no accident of hearing."""
    heard_otherwise = evidence(a_transcript("one too three four five six seven eight"))
    phrase_lost = evidence(a_transcript("one two six seven eight"))

    assert check_meeting(heard_otherwise, HEARD)[0] == []
    assert "lost" in {finding.rule for finding in check_meeting(phrase_lost, HEARD)[0]}


def test_an_outage_is_counted_from_the_first_fault_that_had_not_been_healed() -> None:
    """A bot that dies in calm has none; what disturbs events, clocks or users alone costs no audio."""
    early = Fault(kind=FaultKind.KILL, target="postgres", at_s=5.0)
    near = Fault(kind=FaultKind.PAUSE, target="worker-1", at_s=12.0, duration_s=10.0)
    events = Fault(kind=FaultKind.DROP, target=CHANNEL, at_s=24.0, duration_s=5.0)
    clock = Fault(kind=FaultKind.STEP, target="worker-1", at_s=23.0, duration_s=9.0, step_s=30.0)
    command = Fault(kind=FaultKind.STOP, target=USER, at_s=24.5)
    itself = Fault(kind=FaultKind.KILL, target=BOT, at_s=25.0)

    assert outage_at(25.0, [early, near, events, clock, command, itself]) == pytest.approx(20.0 + COMMIT_LAG_S)
    assert outage_at(25.0, [events, clock, command, itself]) == 0.0

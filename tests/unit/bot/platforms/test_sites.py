"""Each browser platform's judgement of stored snapshots, and the addresses that it opens."""

import json
from pathlib import Path
from typing import Any

import pytest

from vexa_bot.browser.page_messages import Person, TrackFacts
from vexa_bot.browser.page_script import page_script
from vexa_bot.browser.site import Site
from vexa_bot.browser.snapshot import MeetingState, Snapshot
from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.janus import JanusSite, room_url
from vexa_bot.platforms.jitsi import JitsiSite
from vexa_bot.platforms.sites import site_of
from vexa_bot.platforms.teams import guest_url
from vexa_bot.platforms.zoom import web_client_url
from vexa_events.launch import BotOrder

SNAPSHOTS = Path(__file__).with_name("snapshots")
PLATFORMS = ("google_meet", "janus", "jitsi", "teams", "zoom")


def _order(platform: str, native_meeting_id: str = "1234567890", **fields: Any) -> BotOrder:
    return BotOrder(session_uid="s1", meeting_id=1, platform=platform, native_meeting_id=native_meeting_id, **fields)


def _site(platform: str) -> Site:
    return site_of(_order(platform), janus_page_url="http://localhost:8000")


def _stored(platform: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((SNAPSHOTS / f"{platform}.json").read_text())["cases"]
    return cases


CASES = [
    pytest.param(platform, case, id=f"{platform}: {case['name']}")
    for platform in PLATFORMS
    for case in _stored(platform)
]


@pytest.mark.parametrize(("platform", "case"), CASES)
def test_a_stored_snapshot_is_judged_as_what_it_is(platform: str, case: dict[str, Any]) -> None:
    """Each file says where its snapshots come from."""
    verdict = _site(platform).probe(Snapshot(**case["snapshot"]))

    assert verdict.state == case["state"]
    assert verdict.reason == case.get("reason")
    assert verdict.evidence


@pytest.mark.parametrize("platform", ["google_meet", "jitsi", "teams", "zoom"])
def test_words_of_the_end_are_doubtful_while_the_page_shows_the_meeting(platform: str) -> None:
    """It may be a notice that passes; alone they are the end."""
    button = "hangup_button" if platform == "teams" else "leave_button"

    over_it, alone = (
        _site(platform).probe(Snapshot(marks=marks)) for marks in ({"ended": "x", button: ""}, {"ended": "x"})
    )

    assert (over_it.state, over_it.is_doubtful) == (MeetingState.ENDED, True)
    assert (alone.state, alone.is_doubtful) == (MeetingState.ENDED, False)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_mark_that_a_page_can_show_is_weighed(platform: str) -> None:
    """A mark that no snapshot shows would be there for nothing."""
    shown = {mark for case in _stored(platform) for mark in case["snapshot"].get("marks", {})}

    assert set(_site(platform).marks.visible) <= shown


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nothing_but_what_to_look_for_enters_a_page(platform: str) -> None:
    """No address, no passcode, no token."""
    site = site_of(_order(platform, passcode="opensesame1"), janus_page_url="http://localhost:8000")

    script = page_script(site.marks, binding="_b1nd1ng")

    assert "_b1nd1ng" in script
    assert "opensesame1" not in script
    assert "http://" not in script
    assert "https://" not in script
    assert "ws://" not in script


@pytest.mark.parametrize(
    ("meeting", "meeting_url", "page_url", "expected"),
    [
        ("12", None, "http://j:8000", "http://j:8000/videoroomtest.html?room=12&subscriber-mode=yes"),
        ("12", None, "http://j/demos/", "http://j/demos/videoroomtest.html?room=12&subscriber-mode=yes"),
        ("12@j", "https://j/my.html?room=12", None, "https://j/my.html?room=12&subscriber-mode=yes"),
        ("12@j", "https://j/", "http://other/", "https://j/videoroomtest.html?room=12&subscriber-mode=yes"),
    ],
)
def test_a_janus_room_is_found(meeting: str, meeting_url: str | None, page_url: str | None, expected: str) -> None:
    """The request's address goes before the configured one; the bot never publishes."""
    assert room_url(meeting, meeting_url=meeting_url, page_url=page_url) == expected


def test_a_janus_that_is_nowhere_is_a_failure_that_says_so() -> None:
    """Neither the request nor the settings name it."""
    with pytest.raises(AttendanceFailed, match="JANUS_PAGE_URL"):
        site_of(_order("janus", "12"), janus_page_url=None)


@pytest.mark.parametrize(
    ("meeting_url", "passcode", "expected"),
    [
        (None, None, "https://app.zoom.us/wc/123456789/join"),
        (None, "a b", "https://app.zoom.us/wc/123456789/join?pwd=a%20b"),
        ("https://us02web.zoom.us/j/123456789?pwd=hash", "x", "https://us02web.zoom.us/wc/123456789/join?pwd=hash"),
        ("http://localhost/wc/123456789/join", None, "http://localhost/wc/123456789/join"),
    ],
)
def test_a_zoom_meeting_is_opened_in_the_web_client(
    meeting_url: str | None, passcode: str | None, expected: str
) -> None:
    """On the host of the given address."""
    assert web_client_url("123456789", meeting_url=meeting_url, passcode=passcode) == expected


def test_a_jitsi_track_belongs_to_the_participant_whom_its_stream_names() -> None:
    """By the endpoint's id, whatever plays the track."""
    people = (Person(id="participant_a1", name="Joe"), Person(id="participant_b2", name="Maya"))
    site = JitsiSite("room")

    owners = [
        site.owner(TrackFacts(number=1, label=label), None, Snapshot(people=people))
        for label in ("b2-audio-0-1", "a1-audio-0-7", "mixedmslabel", "")
    ]

    assert owners == ["Maya", "Joe", None, None]


@pytest.mark.parametrize(
    ("people", "muted"),
    [
        ([("Joe", True), ("Maya", False)], {"Joe"}),
        ([("Joe", True), ("Joe", False)], set()),
        ([], set()),
    ],
)
def test_whoever_has_the_icon_is_muted_on_jitsi(people: list[tuple[str, bool]], muted: set[str]) -> None:
    """Of two with one name, both must have it."""
    shown = tuple(Person(id=str(id_), name=name, muted=is_muted) for id_, (name, is_muted) in enumerate(people))

    assert JitsiSite("room").muted(Snapshot(people=shown)) == muted


def _signal(**data: Any) -> str:
    return json.dumps({"janus": "event", "plugindata": {"data": {"videoroom": "event", **data}}})


JOE = {"id": 7, "display": "Joe", "streams": [{"type": "audio", "mid": "0"}, {"type": "video", "mid": "1"}]}
JOE_TOO = {**JOE, "id": 8}


@pytest.mark.parametrize(
    ("events", "muted"),
    [
        ([{"publishers": [JOE]}, {"id": 7, "mid": "0", "moderation": "muted"}], {"Joe"}),
        ([{"publishers": [JOE]}, {"id": 7, "mid": "1", "moderation": "muted"}], set()),
        ([{"publishers": [JOE]}, *({"id": 7, "mid": "0", "moderation": how} for how in ("muted", "unmuted"))], set()),
        ([{"publishers": [JOE, JOE_TOO]}, {"id": 7, "mid": "0", "moderation": "muted"}], set()),
        ([{"publishers": [JOE]}, {"id": 7, "mid": "0", "moderation": "muted"}, {"leaving": 7}], set()),
        ([{"publishers": "x"}, {"publishers": [7, {}]}, {"id": [], "mid": {}, "moderation": 1}], set()),
    ],
    ids=["sound", "picture", "no longer", "one of two", "gone", "nonsense"],
)
def test_whom_a_moderator_muted_is_known_from_the_signalling_of_janus(
    events: list[dict[str, Any]], muted: set[str]
) -> None:
    """Of two with one name, both must be."""
    signals = tuple(_signal(**event) for event in events)

    assert JanusSite("http://localhost/").muted(Snapshot(signals=signals)) == muted


@pytest.mark.parametrize(
    ("meeting_url", "passcode", "expected"),
    [
        ("https://teams.live.com/meet/1234567890", "abcDEF12", "https://teams.live.com/meet/1234567890?p=abcDEF12"),
        ("https://teams.live.com/meet/1234567890?p=x1", "y2", "https://teams.live.com/meet/1234567890?p=x1"),
        ("https://teams.live.com/meet/1234567890", None, "https://teams.live.com/meet/1234567890"),
        (
            "https://teams.example/l/meetup-join/19:a@thread.v2/0",
            "z",
            "https://teams.example/l/meetup-join/19:a@thread.v2/0",
        ),
    ],
)
def test_a_teams_meeting_is_opened_with_its_passcode(meeting_url: str, passcode: str | None, expected: str) -> None:
    """Wherever the request gave it."""
    assert guest_url(meeting_url, passcode) == expected


@pytest.mark.parametrize(
    ("people", "others"),
    [
        ([], 0),
        ([Person(id="1", name="Scribe")], 0),
        ([Person(id="1", name="Scribe"), Person(id="2", name="Joe")], 1),
        ([Person(id="1", name="Scribe"), Person(id="2", name="Scribe")], 1),
        ([Person(id="1", name="Ann", self=True), Person(id="2", name="Scribe")], 1),
        ([Person(id="1", name="Joe")], 1),
    ],
)
def test_a_bot_does_not_keep_itself_company(people: list[Person], others: int) -> None:
    """Where a page shows it without a sign, it is the one of its name."""
    assert Snapshot(people=tuple(people)).others("Scribe") == others

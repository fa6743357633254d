"""Every form of address that people paste."""

import pytest

from vexa_events.errors import InvalidMessage
from vexa_functions.bots.meeting_urls import read_meeting_url
from vexa_functions.bots.platforms import RULES, TEAMS_THREAD, WantedMeeting, check_meeting

OURS = {"meet.ours.example": "jitsi", "127.0.0.1:8000": "janus"}
THREAD = "19%3ameeting_NGQ2OTgw%40thread.v2"
CODE = "abc-defg-hij"

MEET = ("google_meet", CODE, None)
TEAMS = ("teams", "9398850880426", "RBZCWdxyp85TpcKna8")
ZOOM = ("zoom", "12345678901", "Abc.1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://meet.google.com/abc-defg-hij", MEET),
        ("http://meet.google.com/abc-defg-hij", MEET),
        ("https://meet.google.com/abc-defg-hij?authuser=0&hs=122", MEET),
        ("https://meet.google.com/abc-defg-hij/", MEET),
        ("https://meet.google.com/abcdefghij", MEET),
        ("https://meet.google.com/_meet/abc-defg-hij", MEET),
        ("https://MEET.google.com/ABC-DEFG-HIJ", MEET),
        ("meet.google.com/abc-defg-hij", MEET),
        ("  <https://meet.google.com/abc-defg-hij>  ", MEET),
        ("Join us: https://meet.google.com/abc-defg-hij.", MEET),
        ("(https://meet.google.com/abc-defg-hij)", MEET),
        ("https://www.google.com/url?q=https%3A%2F%2Fmeet.google.com%2Fabc-defg-hij&sa=D", MEET),
        ("https://teams.live.com/meet/9398850880426?p=RBZCWdxyp85TpcKna8", TEAMS),
        ("https://teams.microsoft.com/meet/9398850880426?p=RBZCWdxyp85TpcKna8", TEAMS),
        ("https://teams.microsoft.com/v2/?meetingjoin=true#/meet/9398850880426?p=RBZCWdxyp85TpcKna8&anon=true", TEAMS),
        (
            (
                "https://eur02.safelinks.protection.outlook.com/?url=https%3A%2F%2Fteams.live.com%2Fmeet"
                "%2F9398850880426%3Fp%3DRBZCWdxyp85TpcKna8&data=05"
            ),
            TEAMS,
        ),
        (
            (
                "https://teams.live.com/dl/launcher/launcher.html?url=%2F_%23%2Fmeet%2F9398850880426"
                "%3Fp%3DRBZCWdxyp85TpcKna8%26anon%3Dtrue&type=meet"
            ),
            TEAMS,
        ),
        ("https://gov.teams.microsoft.us/meet/9398850880426?p=RBZCWdxyp85TpcKna8", TEAMS),
        ("https://zoom.us/j/12345678901?pwd=Abc.1", ZOOM),
        ("https://us02web.zoom.us/j/12345678901?pwd=Abc.1#success", ZOOM),
        ("https://company.zoom.us/s/12345678901?pwd=Abc.1", ZOOM),
        ("https://zoom.us/w/12345678901?tk=x&pwd=Abc.1", ZOOM),
        ("https://zoom.us/wc/12345678901/join?pwd=Abc.1", ZOOM),
        ("https://app.zoom.us/wc/join/12345678901?pwd=Abc.1", ZOOM),
        ("zoommtg://zoom.us/join?action=join&confno=12345678901&pwd=Abc.1", ZOOM),
        ("https://zoomgov.com/j/123456789", ("zoom", "123456789", None)),
        ("https://meet.jit.si/StandUp#config.startWithAudioMuted=true", ("jitsi", "StandUp", None)),
        ("https://8x8.vc/vpaas-1/room", ("jitsi", "vpaas-1.room@8x8.vc", None)),
        ("https://meet.ours.example/Weekly%20Call", ("jitsi", "Weekly Call@meet.ours.example", None)),
        ("http://127.0.0.1:8000/videoroomtest.html?room=1234", ("janus", "1234@127.0.0.1:8000", None)),
        ("replay://standup", ("replay", "standup", None)),
    ],
)
def test_the_meeting_is_found_in_what_was_pasted(text: str, expected: tuple[str, str, str | None]) -> None:
    """Platform, id and passcode are read whatever the form."""
    link = read_meeting_url(text, self_hosted=OURS)

    assert (link.platform, link.native_meeting_id, link.passcode) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"https://teams.microsoft.com/l/meetup-join/{THREAD}/0?context=%7b%22Tid%22%3a%22x%22%7d",
        "https://teams.microsoft.com/l/meetup-join/19:meeting_NGQ2OTgw@thread.v2/0?context={}",
        f"msteams:/l/meetup-join/{THREAD}/0",
        f"https://teams.microsoft.com/dl/launcher/launcher.html?url=%2F_%23%2Fl%2Fmeetup-join%2F{THREAD}%2F0&type=x",
        f"https://teams.microsoft.com/_#/l/meetup-join/{THREAD}/0",
    ],
)
def test_every_form_of_a_long_teams_link_is_one_meeting(text: str) -> None:
    """The thread names the meeting; the bot joins by the address."""
    link = read_meeting_url(text, self_hosted={})

    expected = read_meeting_url(f"https://teams.microsoft.com/l/meetup-join/{THREAD}", self_hosted={})
    assert TEAMS_THREAD.fullmatch(link.native_meeting_id)
    assert link.native_meeting_id == expected.native_meeting_id
    assert link.url.startswith("https://teams.microsoft.com/")
    check_meeting(
        WantedMeeting(platform="teams", native_meeting_id=link.native_meeting_id, url=link.url), offered={"teams"}
    )


def test_the_first_meeting_of_a_whole_invitation_is_taken() -> None:
    """Invitations hold help pages and dial-in lists before and after the link."""
    text = """Ann is inviting you. Need help? https://support.zoom.us/hc/articles/1
    Join: https://us02web.zoom.us/j/12345678901?pwd=Abc.1  Meeting ID:123 4567 8901
    Options: https://zoom.us/j/99999999999"""

    assert read_meeting_url(text, self_hosted={}).native_meeting_id == "12345678901"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "https://",
        "https://[::1",
        "https://meet.google.com:99999999/abc-defg-hij",
        "javascript:alert(1)",
        "https://example.org/abc-defg-hij",
        "https://meet.google.com.example.org/abc-defg-hij",
        "https://meet.google.com@example.org/abc-defg-hij",
        "https://ann:secret@meet.google.com/abc-defg-hij",
        "https://notzoom.us/j/12345678901",
        "https://meet.google.com/lookup/x",
        "https://meet.google.com/",
        "https://teams.live.com/meet/123",
        "https://teams.microsoft.com/",
        "https://zoom.us/my/ann.example",
        "https://zoom.us/j/123",
        "https://meet.jit.si/",
        "https://unknown.example/Room",
        "http://127.0.0.1:8001/videoroomtest.html?room=1234",
        "http://127.0.0.1:8000/videoroomtest.html?room=../../x",
        "https://www.google.com/url?q=https%3A%2F%2Fexample.org%2Fx",
        "https://zoom.us/j/1?" + "&".join("a=b" for _ in range(200)),
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_meeting_is_refused_naming_the_field(text: str) -> None:
    """A host that only looks like a platform's is nobody's."""
    with pytest.raises(InvalidMessage, match=r"^meeting_url: "):
        read_meeting_url(text, self_hosted=OURS)


@pytest.mark.parametrize(
    ("platform", "native_meeting_id", "passcode", "named"),
    [
        ("google_meet", "abc-defg-hij", None, None),
        ("google_meet", "abc-defg-hi", None, "native_meeting_id"),
        ("google_meet", "ABC-DEFG-HIJ", None, "native_meeting_id"),
        ("google_meet", "abc-defg-hij\n", None, "native_meeting_id"),
        ("google_meet", "abc-defg-hij", "12345678", "passcode"),
        ("teams", "1234567890", "abcDEF12", None),
        ("teams", "123456789012345", "a" * 20, None),
        ("teams", "123456789", "abcDEF12", "native_meeting_id"),
        ("teams", "1234567890123456", "abcDEF12", "native_meeting_id"),
        ("teams", "١٢٣٤٥٦٧٨٩٠", "abcDEF12", "native_meeting_id"),
        ("teams", "b2b4ba1f3f4e26cd", None, "native_meeting_id"),
        ("teams", "1234567890", None, "passcode"),
        ("teams", "1234567890", "short", "passcode"),
        ("teams", "1234567890", "a" * 21, "passcode"),
        ("teams", "1234567890", "abcDEF1!", "passcode"),
        ("zoom", "123456789", None, None),
        ("zoom", "12345678901", "Abc.1", None),
        ("zoom", "12345678", None, "native_meeting_id"),
        ("zoom", "123456789012", None, "native_meeting_id"),
        ("zoom", "123456789", "two words", "passcode"),
        ("jitsi", "StandUp", None, None),
        ("jitsi", "a/b", None, "native_meeting_id"),
        ("janus", "1234@127.0.0.1:8000", None, "meeting_url"),
        ("replay", "standup", None, None),
        ("replay", "../etc", None, "native_meeting_id"),
        ("replay", "standup", "secret", "passcode"),
        ("webex", "1", None, "platform"),
    ],
)
def test_ids_and_passcodes_keep_to_their_platform(
    platform: str, native_meeting_id: str, passcode: str | None, named: str | None
) -> None:
    """A request that no bot could serve is refused before anything is written."""
    wanted = WantedMeeting(platform=platform, native_meeting_id=native_meeting_id, passcode=passcode)

    if named is None:
        check_meeting(wanted, offered=RULES)
        return
    with pytest.raises(InvalidMessage, match=f"^{named}: "):
        check_meeting(wanted, offered=RULES)

"""When a page has lost its meeting."""

import pytest

from vexa_bot.browser.contact import CUT_OFF_LIMIT_S, Contact
from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict


def _look(contact: Contact, now_s: float, state: MeetingState, *connections: str) -> str | None:
    verdict = Verdict(state=state, evidence=f"saw {state.value}")
    return contact.look(Snapshot(connections=connections), verdict, now_s=now_s)


@pytest.mark.parametrize(
    ("state", "connections", "told"),
    [
        (MeetingState.ADMITTED, ("failed", "disconnected"), "every peer connection has failed, for 15 s"),
        (MeetingState.PREJOIN, (), "the page is back where one joins: saw prejoin, for 15 s"),
        (MeetingState.PREJOIN, ("connected",), None),
        (MeetingState.UNKNOWN, (), None),
        (MeetingState.ADMITTED, (), None),
        (MeetingState.ADMITTED, ("failed", "connected"), None),
    ],
    ids=["cut off", "loaded anew", "still connected", "nothing known", "nobody speaks", "one connection left"],
)
def test_a_page_has_lost_the_meeting_once_nothing_holds_it_there_for_long(
    state: MeetingState, connections: tuple[str, ...], told: str | None
) -> None:
    """One that loaded itself anew shows no failed connection, and yet hears nothing any more."""
    contact = Contact()

    looks = [_look(contact, now_s, state, *connections) for now_s in (0.0, CUT_OFF_LIMIT_S, CUT_OFF_LIMIT_S + 0.5)]

    assert looks == [None, None, told]


def test_a_contact_that_comes_back_was_not_lost() -> None:
    """A moment of a changing network passes."""
    contact = Contact()
    _look(contact, 0.0, MeetingState.ADMITTED, "disconnected")
    _look(contact, CUT_OFF_LIMIT_S, MeetingState.ADMITTED, "connected")

    assert _look(contact, CUT_OFF_LIMIT_S + 1.0, MeetingState.ADMITTED, "disconnected") is None

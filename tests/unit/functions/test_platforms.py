"""Which meetings a bot can be sent to."""

import pytest

from vexa_events.errors import InvalidMessage
from vexa_functions.bots.platforms import REPLAY, WantedMeeting, check_meeting


def test_a_folder_that_cannot_be_named_learns_which_characters_can() -> None:
    """A folder is easily renamed by someone who knows how."""
    with pytest.raises(InvalidMessage, match=r"native_meeting_id: 'my folder' .* letters, digits, - and _"):
        check_meeting(WantedMeeting(platform=REPLAY, native_meeting_id="my folder"), offered={REPLAY})

"""What the video room page of Janus (janus-demos 1.1) shows."""

from vexa_bot.browser.site import Mark, Marks

START = "#start:not([disabled])"
NAME = "#username"
JOIN = "#register"

MARKS = Marks(
    visible={
        "dialog": Mark(css=".bootbox .modal-body"),
        "room": Mark(css="#videos"),
        "name_field": Mark(css="#username"),
        "start": Mark(css="#start"),
    },
    tile=".panel",
    tile_name=".panel-title .label-info",
)
SIGNAL_WORDS = ('"joined"', '"publishers"', '"unpublished"', '"moderation"', '"leaving"', '"destroyed"', '"error_code"')
"""What tells who speaks at the moment would soon drive all these out."""

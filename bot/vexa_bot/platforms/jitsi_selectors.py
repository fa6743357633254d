"""What Jitsi Meet shows to guests, in English; from its public source."""

from vexa_bot.browser.site import Mark, Marks

NAME = "#premeeting-name-input"
JOIN = '[data-testid="prejoin.joinMeeting"]'
KNOCK = '[data-testid="lobby.knockButton"]'
PASSCODE = '[data-testid="lobby.password"], input[name="lockKey"]'
ENTER_PASSCODE = '[data-testid="lobby.passwordJoinButton"], #modal-dialog-ok-button'
LEAVE = '[aria-label="Leave the meeting" i], [data-testid="lobby.leaveButton"]'
TEXT = '[role="dialog"], [role="alert"], [class*="notification"], .lobby-screen, h1, h2, p, span'

MARKS = Marks(
    visible={
        "removed": Mark(css=TEXT, text="(kicked you|you have been kicked|removed (you )?from the meeting)"),
        "denied": Mark(css=TEXT, text="(rejected by a moderator|your request to join has been rejected)"),
        "wrong_passcode": Mark(css=TEXT, text="(incorrect password|wrong password)"),
        "passcode_field": Mark(css=PASSCODE),
        "ended": Mark(
            css=TEXT, text="(conference (has been )?(destroyed|terminated)|meeting (has )?(been )?(ended|terminated))"
        ),
        "sign_in": Mark(css=TEXT, text="(log-?in (to|with)|authentication (is )?required)"),
        "not_started": Mark(
            css=TEXT, text="(has not (yet )?started|waiting for (the host|a moderator|an authenticated user))"
        ),
        "waiting": Mark(css=TEXT, text="(asking to join|waiting for (someone|a participant) to let you in|lobby)"),
        "knock_button": Mark(css=KNOCK),
        "leave_button": Mark(css='[aria-label="Leave the meeting" i]'),
        "join_button": Mark(css=JOIN),
    },
    tile='[id^="participant_"]',
    tile_id="id",
    tile_name=".displayname, [id$='_name'], .videocontainer__participant-name",
    self_="#localVideoContainer",
    muted="#audioMuted, #mic-disabled",
    speaking=".dominant-speaker, .active-speaker",
)

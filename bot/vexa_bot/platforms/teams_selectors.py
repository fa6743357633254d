"""What the web client of Microsoft Teams shows to guests, in English; from its public behaviour."""

from vexa_bot.browser.site import Mark, Marks

BUTTON = 'button, a[role="button"]'
IN_BROWSER = "continue on this browser|join on the web instead|use the web app instead"
NO_DEVICES = "continue without audio or video"
NAME = '[data-tid="prejoin-display-name-input"], input[placeholder*="name" i]'
JOIN = '[data-tid="prejoin-join-button"], #prejoin-join-button'
LEAVE = '#hangup-button, [data-tid="hangup-main-btn"], [data-tid="call-hangup"], [data-tid="prejoin-cancel-button"]'
TEXT = 'h1, h2, [role="heading"], [role="alert"], [role="dialog"], [data-tid], p, span'

MARKS = Marks(
    visible={
        "captcha": Mark(css=TEXT, text="(verify (that )?you.re (a )?(real|human)|enter the characters you see)"),
        "sign_in": Mark(
            css=TEXT, text="(only people in this org|sign in to (join|continue)|need to (be )?sign(ed)? in)"
        ),
        "removed": Mark(css=TEXT, text="(you(.ve| have) been removed|someone removed you)"),
        "denied": Mark(css=TEXT, text="(denied access to the meeting|request to join was declined|weren.t admitted)"),
        "unanswered": Mark(css=TEXT, text="no one responded to your request"),
        "wrong_passcode": Mark(css=TEXT, text="(passcode (is )?(incorrect|wrong)|check the meeting (id|passcode))"),
        "ended": Mark(css=TEXT, text="((the|this) meeting (has )?ended|you left the meeting)"),
        "waiting": Mark(
            css=TEXT, text="(will let you in (shortly|soon)|waiting for (someone|others) to (let|admit)|in the lobby)"
        ),
        "not_started": Mark(css=TEXT, text="(meeting hasn.t started|waiting for the (meeting|organizer) to start)"),
        "hangup_button": Mark(css='#hangup-button, [data-tid="hangup-main-btn"], [data-tid="call-hangup"]'),
        "name_field": Mark(css=NAME),
        "in_browser": Mark(css=BUTTON, text=IN_BROWSER),
    },
    tile='[data-tid="participant-tile"], [data-cid="calling-participant-stream"]',
    tile_id="data-acc-element-id",
    tile_name='[data-tid="participant-display-name"], [data-tid*="display-name"]',
    self_='[data-tid="self-video-tile"], [data-is-self="true"]',
    speaking='[data-tid="voice-level-stream-outline"].vdi-frame-occlusion',
)

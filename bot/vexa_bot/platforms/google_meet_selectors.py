"""What Google Meet shows to guests, in English; from its public behaviour."""

from vexa_bot.browser.site import Mark, Marks

NAME = 'input[type="text"][aria-label="Your name"]'
BUTTON = 'button, [role="button"]'
NO_DEVICES = "continue without microphone|continue without mic"
JOIN = "^(ask to join|join now|join anyway)"
LEAVE = 'button[aria-label*="Leave call"]'
TEXT = 'h1, h2, [role="heading"], [role="dialog"], [role="alert"], [jsname] > div, span'

MARKS = Marks(
    visible={
        "captcha": Mark(css='iframe[src*="recaptcha"], form#captcha-form, iframe[title*="captcha" i]'),
        "sign_in": Mark(css='#identifierId, form[action*="signin"]'),
        "removed": Mark(css=TEXT, text="you(.ve| have) been removed from the meeting"),
        "denied": Mark(css=TEXT, text="(denied your request|request to join was denied|can.t join this (video )?call)"),
        "unanswered": Mark(css=TEXT, text="no one responded to your request"),
        "not_found": Mark(css=TEXT, text="check your meeting code"),
        "ended": Mark(css=TEXT, text="(meeting has ended|ended the (meeting|call)|you left the meeting|call ended)"),
        "waiting": Mark(css=TEXT, text="(asking to be let in|when someone lets you in|host brings you into the call)"),
        "leave_button": Mark(css=LEAVE),
        "name_field": Mark(css=NAME),
        "join_button": Mark(css=BUTTON, text=JOIN),
    },
    tile="[data-participant-id]",
    tile_id="data-participant-id",
    tile_name=".notranslate",
    self_="[data-self-name]",
)

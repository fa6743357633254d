"""What the web client of Zoom shows to guests, in English; from its public behaviour."""

from vexa_bot.browser.site import Mark, Marks

BUTTON = "button"
AGREE = "#wc_agree1, #onetrust-accept-btn-handler"
NO_DEVICES = "continue without (microphone|audio|camera)"
NAME = "#input-for-name, #inputname"
PASSCODE = "#input-for-pwd, #inputpasscode"
JOIN = "button.preview-join-button, #joinBtn"
HEAR = "join audio by computer"
LEAVE = 'button[aria-label="Leave"], .footer__leave-btn, .leave-btn'
TEXT = 'h1, h2, [role="heading"], [role="dialog"], [role="alert"], [class*="wr-"], [class*="waiting"], p, span'

MARKS = Marks(
    visible={
        "captcha": Mark(css='iframe[src*="recaptcha"], #captcha, img[alt*="captcha" i]'),
        "sign_in": Mark(css=TEXT, text="(sign in to join|requires authentication|authorized attendees only)"),
        "removed": Mark(css=TEXT, text="(you have been removed|removed you from)"),
        "wrong_passcode": Mark(css=TEXT, text="(passcode wrong|incorrect passcode|wrong passcode)"),
        "not_found": Mark(
            css=TEXT, text="(invalid meeting id|meeting (id )?does not exist|this meeting link is invalid)"
        ),
        "ended": Mark(css=TEXT, text="(meeting has been ended|meeting has ended|ended by (the )?host)"),
        "not_started": Mark(css=TEXT, text="(waiting for the host to start|host has not (yet )?(joined|started))"),
        "waiting": Mark(css=TEXT, text="(host will let you in|let them know you.re here|will admit you)"),
        "leave_button": Mark(css='button[aria-label="Leave"], .footer__leave-btn'),
        "name_field": Mark(css=NAME),
        "join_button": Mark(css=JOIN),
    },
    tile=".video-avatar__avatar, .gallery-video-container__video-frame, .speaker-active-container__video-frame",
    tile_name=".video-avatar__avatar-footer, .video-avatar__avatar-name",
    speaking='.speaker-active-container__video-frame, [class*="--active"]',
)

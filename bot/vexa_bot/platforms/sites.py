"""Which site a browser opens for an order."""

from vexa_bot.browser.site import Site
from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.google_meet import GoogleMeetSite
from vexa_bot.platforms.janus import JanusSite, room_url
from vexa_bot.platforms.jitsi import JitsiSite
from vexa_bot.platforms.teams import TeamsSite
from vexa_bot.platforms.zoom import ZoomSite
from vexa_events.launch import BotOrder


def site_of(order: BotOrder, *, janus_page_url: str | None) -> Site:
    """Build the site of an order's platform; raise AttendanceFailed where there is none."""
    meeting, url = order.native_meeting_id, order.meeting_url
    match order.platform:
        case "janus":
            return JanusSite(room_url(meeting, meeting_url=url, page_url=janus_page_url))
        case "jitsi":
            return JitsiSite(meeting, meeting_url=url)
        case "google_meet":
            return GoogleMeetSite(meeting, meeting_url=url)
        case "teams":
            return TeamsSite(meeting, meeting_url=url, passcode=order.passcode)
        case "zoom":
            return ZoomSite(meeting, meeting_url=url, passcode=order.passcode)
        case unknown:
            raise AttendanceFailed("platform_not_supported", f"this bot does not know {unknown!r}")

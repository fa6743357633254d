"""Which site a browser opens for an order."""

from vexa_bot.browser.site import Site
from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.janus import JanusSite, room_url
from vexa_events.launch import BotOrder


def site_of(order: BotOrder, *, janus_page_url: str | None) -> Site:
    """Build the site of an order's platform; raise AttendanceFailed where there is none."""
    if order.platform == "janus":
        url = room_url(order.native_meeting_id, meeting_url=order.meeting_url, page_url=janus_page_url)
        return JanusSite(url)
    raise AttendanceFailed("platform_not_supported", f"this bot does not know {order.platform!r}")

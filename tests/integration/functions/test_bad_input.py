"""What nobody should send, through the gateway: one table, 4xx for each row, with the name of the field."""

import json
from typing import Any

import httpx

LONG = "x" * 20_000
STANDUP = {"platform": "replay", "native_meeting_id": "standup"}
UNREADABLE: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "body: is not JSON"),
    "no JSON": (b"{,}", 422, "body: is not JSON"),
    "no object": (b'["email"]', 422, "body: must be an object"),
    "null": (b"null", 422, "body: must be an object"),
    "not a number": (b'{"data": NaN}', 422, "body: is not JSON"),
    "infinite": (b'{"data": Infinity}', 422, "body: is not JSON"),
    "many digits": (b'{"data": ' + b"1" * 5_000 + b"}", 422, "body: holds a number with too many digits"),
    "not UTF-8": (b'{"data": "\xff"}', 422, "body: is not UTF-8: byte 10"),
    "deep list": (b"[" * 100_000, 422, "body: is nested too deeply"),
    "deep object": (b'{"data":' * 100_000, 422, "body: is nested too deeply"),
    "twice": (b'{"data": 1, "data": 2}', 422, "data: is given twice"),
    "twice, further in": (b'{"data": {"name": "a", "name": "b"}}', 422, "name: is given twice"),
    "large": (b'{"data": "' + b"x" * 1_100_000 + b'"}', 413, "body: is over the limit of 1048576 bytes"),
}
BODIES = (
    ("POST", "/bots"),
    ("PUT", "/bots/replay/standup/config"),
    ("PATCH", "/meetings/replay/standup"),
    ("PUT", "/user/webhook"),
    ("POST", "/admin/users"),
    ("PATCH", "/admin/users/1"),
    ("POST", "/admin/users/1/tokens"),
)
FIELDS: tuple[tuple[str, str, Any, str], ...] = (
    ("POST", "/bots", {}, "body: platform and native_meeting_id or meeting_url"),
    ("POST", "/bots", {**STANDUP, "platform": "webex"}, "platform: "),
    ("POST", "/bots", {**STANDUP, "platform": 5}, "platform: must be a text"),
    ("POST", "/bots", {**STANDUP, "native_meeting_id": ""}, "native_meeting_id: must not be empty"),
    ("POST", "/bots", {**STANDUP, "native_meeting_id": "a\0b"}, "native_meeting_id: must not contain a NUL"),
    ("POST", "/bots", {**STANDUP, "native_meeting_id": "\ud800"}, "native_meeting_id: must not contain half"),
    ("POST", "/bots", {**STANDUP, "native_meeting_id": "../etc"}, "native_meeting_id: "),
    ("POST", "/bots", {**STANDUP, "native_meeting_id": LONG}, "native_meeting_id: must have at most 255 characters"),
    ("POST", "/bots", {**STANDUP, "passcode": "secret"}, "passcode: "),
    ("POST", "/bots", {**STANDUP, "passcode": "\0"}, "passcode: must not contain a NUL"),
    ("POST", "/bots", {**STANDUP, "language": "klingon"}, "language: 'klingon' is not a language code"),
    ("POST", "/bots", {**STANDUP, "language": LONG}, "language: "),
    ("POST", "/bots", {**STANDUP, "task": "sing"}, "task: "),
    ("POST", "/bots", {**STANDUP, "bot_name": "x" * 101}, "bot_name: must have at most 100 characters"),
    ("POST", "/bots", {**STANDUP, "bot_name": "a\nb"}, "bot_name: must not contain control characters"),
    ("POST", "/bots", {"meeting_url": "https://example.org/"}, "meeting_url: "),
    ("POST", "/bots", {"meeting_url": "javascript:alert(1)"}, "meeting_url: "),
    ("POST", "/bots", {**STANDUP, "automatic_leave": {"max_age_s": 1e300}}, "automatic_leave.max_age_s: "),
    ("PUT", "/bots/replay/standup/config", {"language": "xx"}, "language: 'xx' is not a language code"),
    ("PUT", "/bots/replay/standup/config", {"task": ""}, "task: "),
    ("PATCH", "/meetings/replay/standup", {}, "data: is missing"),
    ("PATCH", "/meetings/replay/standup", {"data": []}, "data: must be an object"),
    ("PATCH", "/meetings/replay/standup", {"data": {"owner": 1}}, "data.owner: is not known here"),
    ("PATCH", "/meetings/replay/standup", {"data": {"name": "a\0"}}, "data.name: must not contain a NUL"),
    ("PATCH", "/meetings/replay/standup", {"data": {"notes": LONG}}, "data.notes: must have at most 16384 characters"),
    (
        "PATCH",
        "/meetings/replay/standup",
        {"data": {"participants": ["a"] * 501}},
        "data.participants: must have at most 500 entries",
    ),
    ("PATCH", "/meetings/replay/standup", {"data": {"languages": ["klingon!"]}}, "data.languages.0: "),
    ("PUT", "/user/webhook", {"webhook_url": ""}, "webhook_url: must not be empty"),
    ("PUT", "/user/webhook", {"webhook_url": "ftp://example.org"}, "webhook_url: must be an absolute http"),
    ("PUT", "/user/webhook", {"webhook_url": "https://10.0.0.1/"}, "webhook_url: "),
    ("PUT", "/user/webhook", {"webhook_url": "https://example.org/\0"}, "webhook_url: "),
    ("PUT", "/user/webhook", {"webhook_url": "https://a:b@example.org/"}, "webhook_url: must not hold a user name"),
    (
        "PUT",
        "/user/webhook",
        {"webhook_url": "https://example.org", "webhook_secret": "short"},
        "webhook_secret: must have at least 16 characters",
    ),
    ("POST", "/admin/users", {}, "email: is missing"),
    ("POST", "/admin/users", {"email": None}, "email: must be a text"),
    ("POST", "/admin/users", {"email": ["a@b.c"]}, "email: must be a text"),
    ("POST", "/admin/users", {"email": "nobody"}, "email: must match"),
    ("POST", "/admin/users", {"email": "a b@c.d"}, "email: must match"),
    ("POST", "/admin/users", {"email": "a@b@c.d"}, "email: must match"),
    ("POST", "/admin/users", {"email": "a@b.c\n"}, "email: must match"),
    ("POST", "/admin/users", {"email": "a@b.c\0"}, "email: must not contain a NUL"),
    ("POST", "/admin/users", {"email": "a\ud800@b.c"}, "email: must not contain half"),
    ("POST", "/admin/users", {"email": "a" * 65 + "@b.c"}, "email: must match"),
    ("POST", "/admin/users", {"email": "x" * 400}, "email: must have at most 320 characters"),
    ("POST", "/admin/users", {"email": "a@b.c", "name": ""}, "name: must not be empty"),
    ("POST", "/admin/users", {"email": "a@b.c", "name": "x\0"}, "name: must not contain a NUL"),
    ("POST", "/admin/users", {"email": "a@b.c", "image_url": ""}, "image_url: must not be empty"),
    (
        "POST",
        "/admin/users",
        {"email": "a@b.c", "image_url": "x" * 2_049},
        "image_url: must have at most 2048 characters",
    ),
    *(
        ("POST", "/admin/users", {"email": "a@b.c", "max_concurrent_bots": number}, "max_concurrent_bots: ")
        for number in (-1, "many", "5", 2.0, False, 10**30)
    ),
    ("POST", "/admin/users/1/tokens", {"scopes": []}, "scopes: must not be empty"),
    ("POST", "/admin/users/1/tokens", {"scopes": ["read"] * 4}, "scopes: must have at most 3 entries"),
    ("POST", "/admin/users/1/tokens", {"scopes": ["root"]}, "scopes.0: "),
    ("POST", "/admin/users/1/tokens", {"scopes": "read"}, "scopes: must be a list"),
    ("POST", "/admin/users/1/tokens", {"name": LONG}, "name: must have at most 255 characters"),
    ("POST", "/admin/users/1/tokens", {"expires_at": "soon"}, "expires_at: "),
    ("POST", "/admin/users/1/tokens", {"expires_at": "2020-01-01T00:00:00Z"}, "expires_at: must lie in the future"),
    ("POST", "/admin/users/1/tokens", {"expires_at": "2030-01-01T00:00:00"}, "expires_at: "),
)
ADDRESSES = (
    ("GET", "/transcripts", "q: is missing"),
    ("GET", "/transcripts?q=", "q: must have 1 to 200 characters"),
    ("GET", "/transcripts?q=%00", "q: must not contain NUL"),
    ("GET", "/transcripts?q=%ff", "q: must not contain NUL, half a character, or bytes that are not UTF-8"),
    ("GET", "/transcripts?q=a&q=b", "q: is given twice"),
    ("GET", "/transcripts?q=a&limit=101", "limit: must be a whole number from 1 to 100"),
    ("GET", "/transcripts?q=a&limit=", "limit: must be a whole number"),
    ("GET", "/meetings?limit=%D9%A3", "limit: must be a whole number"),
    ("GET", "/meetings?offset=" + "9" * 30, "offset: must be a whole number"),
    ("GET", "/meetings?status=asleep", "status: must be one of"),
    ("GET", "/meetings?platform=%00", "platform: must not contain NUL"),
    ("GET", "/meetings?limit=1&limit=2", "limit: is given twice"),
    ("GET", "/meetings/1?format=pdf", "format: must be one of"),
    ("GET", "/meetings/1?since=yesterday", "since: must be a time"),
    ("GET", "/transcripts/replay/%00", "native_meeting_id: must not contain NUL"),
    ("GET", "/transcripts/replay/%ff", "native_meeting_id: must not contain NUL"),
    ("GET", "/transcripts/" + "x" * 256 + "/standup", "platform: must have 1 to 255 characters"),
    ("GET", "/transcripts/replay/standup?meeting_id=-1", "meeting_id: must be a whole number"),
    ("GET", "/transcripts/replay/%00/stream", "native_meeting_id: must not contain NUL"),
    ("DELETE", "/bots/replay/%00", "native_meeting_id: must not contain NUL"),
    ("DELETE", "/meetings/replay/%ff", "native_meeting_id: must not contain NUL"),
    ("GET", "/user/webhooks/deliveries?before=x", "before: must be a whole number"),
    ("GET", "/user/webhooks/deliveries?status=lost", "status: must be one of"),
    ("GET", "/admin/users?skip=-1", "skip: must be a whole number"),
    ("GET", "/admin/users/email/a%00@b.c", "email: must not contain NUL"),
    ("GET", "/admin/users/email/" + "x" * 321, "email: must have 1 to 320 characters"),
    ("GET", "/admin/dead-letters?redriven=maybe", "redriven: must be one of"),
)


async def test_bad_input_is_refused_by_name(api: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """4xx, a detail that begins with the field, and not a word of the language or the library behind."""
    api.headers["x-admin-api-key"] = admin.headers["x-admin-api-key"]
    made = await api.post("/bots", json=STANDUP)
    assert made.status_code == 201, made.text
    table = [
        *(
            (*route, body, status, told)
            for route in BODIES
            for body, status, told in UNREADABLE.values()
            if body or route[1][-6:] != "tokens"
        ),
        *((method, path, json.dumps(body).encode(), 422, told) for method, path, body, told in FIELDS),
        *((method, path, None, 422, told) for method, path, told in ADDRESSES),
    ]

    wrong = []
    for method, path, body, status, told in table:
        answer = await api.request(method, path, content=body)
        detail = str(answer.json()["detail"])
        if answer.status_code != status or not detail.startswith(told) or "Tuple" in detail or "items" in detail:
            wrong.append((method, path[:60], (body or b"")[:60], told, answer.status_code, detail[:200]))

    assert wrong == []

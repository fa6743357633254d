"""A user of the stack under test, who keeps asking while it is broken."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from vexa_local.chaos.attendance import Attendance, Meeting
from vexa_local.errors import StartFailed

LANGUAGE = "en"
_AGAIN_S = 0.5
_ENDING_LIMIT_S = 600.0
"""How long a bot may take from an order to leave until its meeting counts as over: what it has heard is stored first,
which a starved machine takes minutes for."""
_CONFLICT = 409
_GONE = 404
_REFERENCE = "process:"


@dataclass(slots=True)
class User:
    """One user over the public API; each call keeps trying for a while."""

    client: httpx.AsyncClient
    """Carries base URL and key."""
    patience_s: float = 60.0

    async def send_bot(self, meeting: Meeting) -> Attendance:
        """Send a bot to a recording, once however often it is asked for; wait while the one before is leaving."""
        wanted = {"platform": "replay", "native_meeting_id": meeting.name}
        headers = {"Idempotency-Key": uuid4().hex}
        answer = await self._call(
            "POST", "/bots", json=wanted, headers=headers, wait_for={_CONFLICT}, patience_s=_ENDING_LIMIT_S
        )
        session_uid = str(answer["bot_container_id"]).removeprefix(_REFERENCE)
        begun_s = asyncio.get_running_loop().time()
        return Attendance(meeting=meeting, meeting_id=int(answer["id"]), session_uid=session_uid, begun_s=begun_s)

    async def stop(self, attendance: Attendance) -> None:
        """Tell a bot to leave; note first how far it is, where that is told at once."""
        if not attendance.is_told_to_leave:
            attendance.captured_before = await self._captured(attendance)
            attendance.is_told_to_leave = True
        await self._call("DELETE", f"/bots/replay/{attendance.meeting.name}")

    async def reconfigure(self, attendance: Attendance) -> None:
        """Name the language that is spoken, to a bot that is still there and active."""
        path = f"/bots/replay/{attendance.meeting.name}/config"
        await self._call("PUT", path, json={"language": LANGUAGE}, accept={_CONFLICT})

    async def delete(self, attendance: Attendance) -> None:
        """Delete a meeting as soon as it is over."""
        path = f"/meetings/replay/{attendance.meeting.name}"
        await self._call("DELETE", path, wait_for={_CONFLICT}, patience_s=_ENDING_LIMIT_S)
        attendance.is_deleted = True

    async def listen_at(self, url: str) -> None:
        """Name the server that webhooks go to."""
        await self._call("PUT", "/user/webhook", json={"webhook_url": url})

    async def transcript(self, attendance: Attendance) -> dict[str, Any]:
        """Read what is stored."""
        return await self._call("GET", f"/meetings/{attendance.meeting_id}")

    async def is_gone(self, attendance: Attendance) -> bool:
        """Tell whether nothing is read under a meeting's id."""
        answer = await self._call("GET", f"/meetings/{attendance.meeting_id}", accept={_GONE})
        return "segments" not in answer

    async def _captured(self, attendance: Attendance) -> dict[str, float]:
        """Read how far each speaker is captured; nothing where the stack does not answer right now."""
        try:
            answer = await self.client.get(f"/meetings/{attendance.meeting_id}")
        except httpx.HTTPError:
            return {}
        streams = answer.json()["coverage"]["streams"] if answer.is_success else ()
        return {str(stream["speaker"]): float(stream["captured_until"]) for stream in streams}

    async def _call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: dict[str, str] | None = None,
        accept: Collection[int] = (),
        wait_for: Collection[int] = (),
        patience_s: float | None = None,
    ) -> dict[str, Any]:
        request = self.client.build_request(method, path, json=json, headers=headers)
        return await call(
            self.client, request, accept=accept, wait_for=wait_for, patience_s=patience_s or self.patience_s
        )


async def new_key(gateway_url: str, *, admin_key: str, email: str) -> str:
    """Make a user without a limit of bots, and return a key."""
    headers = {"X-Admin-API-Key": admin_key}
    async with httpx.AsyncClient(base_url=gateway_url, headers=headers, timeout=15.0, trust_env=False) as client:
        user = {"email": email, "max_concurrent_bots": 0}
        user_id = (await call(client, client.build_request("POST", "/admin/users", json=user)))["id"]
        answer = await call(client, client.build_request("POST", f"/admin/users/{user_id}/tokens"))
        return str(answer["token"])


async def call(
    client: httpx.AsyncClient,
    request: httpx.Request,
    *,
    accept: Collection[int] = (),
    wait_for: Collection[int] = (),
    patience_s: float = 60.0,
) -> dict[str, Any]:
    """
    Call until it works; raise StartFailed where it does not.

    Statuses in `accept` are as good as success; those in `wait_for` are tried
    again, as 5xx and 429 always are.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + patience_s
    while True:
        try:
            answer = await client.send(request)
            told = f"{answer.status_code}: {answer.text[:300]}"
            if answer.is_success or answer.status_code in accept:
                body: dict[str, Any] = answer.json() if answer.content else {}
                return body
            is_final = answer.status_code < 500 and answer.status_code not in {429, *wait_for}
        except httpx.HTTPError as exc:
            told, is_final = type(exc).__name__, False
        if is_final or loop.time() > deadline_s:
            raise StartFailed(f"{request.method} {request.url.path} answered {told}")
        await asyncio.sleep(_AGAIN_S)

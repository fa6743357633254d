"""A user of the stack under test, who keeps asking while it is broken."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from vexa_local.errors import StartFailed

_AGAIN_S = 0.5


@dataclass(slots=True)
class User:
    """One user over the public API; each call keeps trying for PATIENCE_S."""

    client: httpx.AsyncClient
    """Carries base URL and key."""
    patience_s: float = 60.0

    async def send_bot(self, native_id: str) -> None:
        """Send a bot to a recording."""
        await self._call("POST", "/bots", json={"platform": "replay", "native_meeting_id": native_id})

    async def transcript(self, native_id: str) -> dict[str, Any]:
        """Read what is stored."""
        return await self._call("GET", f"/transcripts/replay/{native_id}")

    async def _call(self, method: str, path: str, *, json: object = None) -> dict[str, Any]:
        return await call(self.client, method, path, json=json, patience_s=self.patience_s)


async def new_key(gateway_url: str, *, admin_key: str, email: str) -> str:
    """Make a user without a limit of bots, and return a key."""
    headers = {"X-Admin-API-Key": admin_key}
    async with httpx.AsyncClient(base_url=gateway_url, headers=headers, timeout=15.0, trust_env=False) as client:
        user = {"email": email, "max_concurrent_bots": 0}
        user_id = (await call(client, "POST", "/admin/users", json=user))["id"]
        return str((await call(client, "POST", f"/admin/users/{user_id}/tokens"))["token"])


async def call(
    client: httpx.AsyncClient, method: str, path: str, *, json: object = None, patience_s: float = 60.0
) -> dict[str, Any]:
    """Call until it works; raise StartFailed where it does not."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + patience_s
    while True:
        try:
            answer = await client.request(method, path, json=json)
            told = f"{answer.status_code}: {answer.text[:300]}"
            if answer.is_success:
                body: dict[str, Any] = answer.json()
                return body
            is_final = answer.status_code < 500 and answer.status_code != 429
        except httpx.HTTPError as exc:
            told, is_final = type(exc).__name__, False
        if is_final or loop.time() > deadline_s:
            raise StartFailed(f"{method} {path} answered {told}")
        await asyncio.sleep(_AGAIN_S)

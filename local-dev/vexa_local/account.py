"""The user and the key that a fresh stack offers to whoever runs it."""

import httpx

from vexa_local.errors import StartFailed

EMAIL = "dev@vexa.local"
MAX_BOTS = 10
_TIMEOUT_S = 20.0


async def ensure_api_key(gateway_url: str, *, admin_api_key: str, known_key: str | None) -> str:
    """Return a key that works: the known one where it still does, else a new one of the same user."""
    async with httpx.AsyncClient(base_url=gateway_url, timeout=_TIMEOUT_S, trust_env=False) as client:
        if known_key and await _works(client, known_key):
            return known_key
        headers = {"X-Admin-API-Key": admin_api_key}
        user = {"email": EMAIL, "name": "Developer", "max_concurrent_bots": MAX_BOTS}
        user_id = (await _call(client, "POST", "/admin/users", headers=headers, json=user))["id"]
        await _call(client, "PATCH", f"/admin/users/{user_id}", headers=headers, json={"max_concurrent_bots": MAX_BOTS})
        token = (await _call(client, "POST", f"/admin/users/{user_id}/tokens", headers=headers))["token"]
        return str(token)


async def _works(client: httpx.AsyncClient, key: str) -> bool:
    answer = await client.get("/meetings", headers={"X-API-Key": key})
    if answer.status_code >= 500:
        raise StartFailed(f"GET /meetings answered {answer.status_code}: {answer.text[:300]}")
    return answer.is_success


async def _call(
    client: httpx.AsyncClient, method: str, path: str, *, headers: dict[str, str], json: object = None
) -> dict[str, object]:
    try:
        answer = await client.request(method, path, headers=headers, json=json)
    except httpx.HTTPError as exc:
        raise StartFailed(f"{method} {path}: {type(exc).__name__}") from exc
    if not answer.is_success:
        raise StartFailed(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, object] = answer.json()
    return body

"""The whole API against what it says of itself: schemathesis sends what the document allows, and what it forbids."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import DEADLINE_S

from vexa_functions.gateway.table import DOCUMENT

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)
ENDS_WITHIN_S = 300.0
STREAM_S = "0.2"
"""How long an event stream lasts here; it ends by itself."""
UNLIMITED = dict.fromkeys(("RATE_PER_KEY_HZ", "BURST_PER_KEY", "RATE_PER_ADDRESS_HZ", "BURST_PER_ADDRESS"), "100000")
EXISTING = """
[parameters]
"path.platform" = "replay"
"path.native_meeting_id" = "standup"
"path.email" = "bob@example.org"
"path.id" = 1
"""
"""Bob's user and token, and Ann's meeting and delivery."""
ANYTHING = ("--phases", "coverage,fuzzing", "--max-examples", "5")
WHAT_EXISTS = ("--phases", "fuzzing", "--mode", "positive", "--max-examples", "5")


@pytest.mark.parametrize(
    ("named", "options"), [("", ANYTHING), (EXISTING, WHAT_EXISTS)], ids=["anything", "what exists"]
)
async def test_every_answer_is_one_that_the_document_promises(
    start_gateway: Any,
    functions_env: dict[str, str],
    admin: httpx.AsyncClient,
    make_key: Any,
    tmp_path: Path,
    named: str,
    options: tuple[str, ...],
) -> None:
    """No 5xx, no status, form or field that it does not name, and nothing accepted that it forbids."""
    await make_key("bob@example.org")
    keys = {"X-API-Key": await make_key("ann@example.org"), "X-Admin-API-Key": admin.headers["x-admin-api-key"]}
    url = await start_gateway(**functions_env, **UNLIMITED, MAX_SOCKET_S=STREAM_S)
    config = tmp_path / "schemathesis.toml"
    config.write_text(named)

    async with httpx.AsyncClient(base_url=url, headers=keys, timeout=DEADLINE_S) as client:
        await client.post("/bots", json={"platform": "replay", "native_meeting_id": "standup"})
        status, told = await schemathesis(config, url, keys, options)
        still_valid = await client.get("/meetings")

    assert status == 0, told
    assert still_valid.status_code == 200, "the key was revoked on the way, so that less was tried than it seems"


async def schemathesis(config: Path, url: str, keys: dict[str, str], options: tuple[str, ...]) -> tuple[int, str]:
    """Run it with a fixed seed; return its exit status and what it tells."""
    headers = [part for name, value in keys.items() for part in ("--header", f"{name}: {value}")]
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run", str(DOCUMENT)),
        *("--url", url, *headers, "--checks", CHECKS, *options),
        *("--seed", "1", "--generation-deterministic"),
        *("--continue-on-failure", "--no-shrink", "--warnings", "off", "--no-color"),
        cwd=config.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, told.decode()

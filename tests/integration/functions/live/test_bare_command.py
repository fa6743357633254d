"""Watching without our shell."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
from tests.integration.functions.live.watching import WITHIN_S, Talk, Watcher, read_events
from tests.ports import free_port
from tests.waiting import DEADLINE_S

from vexa_functions import gateway


async def test_event_streams_work_under_the_bare_framework_command(
    talk: Talk, postgres_url: str, valkey_url: str, api_key: str
) -> None:
    """Without our shell there is no /ws, and Server-Sent Events all the same, as they happen."""
    await talk.commit(f"{talk.session_uid}.0", "before")
    port, nowhere = free_port(), "http://127.0.0.1:9"
    program, source = Path(sys.executable).with_name("functions-framework"), Path(gateway.__file__).with_name("main.py")
    process = await asyncio.create_subprocess_exec(
        *(str(program), "--source", str(source), "--target", "gateway", "--port", str(port)),
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": postgres_url,
            "REDIS_URL": valkey_url,
            "TOKEN_SIGNING_KEY": "a signing key for tests, 32 bytes or more",
            "ADMIN_API_URL": nowhere,
            "BOT_MANAGER_URL": nowhere,
            "TRANSCRIPTION_COLLECTOR_URL": nowhere,
        },
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    url, watcher = f"http://127.0.0.1:{port}", Watcher()
    try:
        await until_it_answers(url)
        reading = asyncio.create_task(
            read_events(url, api_key, talk, watcher, enough=lambda _: len(watcher.segments) == 2)
        )
        async with asyncio.timeout(WITHIN_S):
            while not watcher.segments:
                await asyncio.sleep(0.02)
            await talk.commit(f"{talk.session_uid}.0", "after")
            await reading
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()

    assert [segment["text"] for segment in watcher.segments.values()] == ["before", "after"]


async def until_it_answers(url: str) -> None:
    """Wait for a server that is starting."""
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client, asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await client.get(f"{url}/health")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return

"""The worker as a process: how it starts, and how it goes."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
from tests.waiting import DEADLINE_S
from websockets.asyncio.client import connect

from vexa_events.stream import Hello, encode_hello, parse_server_message

from .conftest import model_dir


@asynccontextmanager
async def worker_process(*env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        "env", *env, sys.executable, "-m", "vexa_pool", stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def logged(process: asyncio.subprocess.Process, message: str) -> dict[str, object]:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        while line := await process.stdout.readline():
            record: dict[str, object] = json.loads(line)
            if record["message"] == message:
                return record
    raise AssertionError(f"the worker never said {message!r}")


async def test_sigterm_sends_bots_elsewhere_and_ends_the_process() -> None:
    """A stopping worker closes with 1012, exits with 0, and logs JSON lines only; it had allowed itself more files."""
    env = (f"WHISPER_MODEL={model_dir()}", "PORT=0", "prlimit", "--nofile=512:2048")
    async with worker_process(*env) as process:
        port = (await logged(process, "worker is ready"))["port"]
        assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE) == (2_048, 2_048)
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
            await connection.send(encode_hello(Hello(uid="c")))
            assert parse_server_message(await connection.recv()).is_ready

            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(DEADLINE_S):
                await connection.wait_closed()
                status = await process.wait()

    assert connection.close_code == 1012
    assert status == 0


async def test_wrong_settings_stop_the_process_at_once() -> None:
    """It exits with 2 and names what is missing."""
    async with worker_process("-u", "WHISPER_MODEL") as process:
        record = await logged(process, "worker cannot start")
        status = await process.wait()

    assert "WHISPER_MODEL" in str(record["error"])
    assert status == 2

"""The bot as its launchers start it: a process of its own, told all by its environment."""

import asyncio
import math
import signal
import struct
import sys
import wave
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path
from typing import Any

import psutil

from vexa_events.launch import BotOrder

TOKEN = "header.payload.signature"
ENDS_WITHIN_S = 120.0


class BotProcess:
    """A bot, its browser, and what it printed once it has ended."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.output = ""
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        return self._running.pid

    async def start(self, native_meeting_id: str, *, platform: str = "replay", **order: Any) -> None:
        wanted = BotOrder(
            session_uid="session", meeting_id=7, platform=platform, native_meeting_id=native_meeting_id, **order
        )
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vexa_bot", env={**wanted.to_env(), **self.env}, stdout=PIPE, stderr=STDOUT
        )

    def send(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    def children(self, word: str = "") -> list[psutil.Process]:
        """List the processes below it that have a word in their command line."""
        below = psutil.Process(self.pid).children(recursive=True)
        return [each for each in below if word in _command(each)]

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            output, _ = await self._running.communicate()
        self.output = output.decode()
        assert self._running.returncode is not None
        return self._running.returncode

    @property
    def _running(self) -> Process:
        assert self._process is not None, "start it first"
        return self._process

    async def aclose(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def write_track(path: Path, *, seconds: float, tone_hz: int) -> bytes:
    """Write a tone as a WAV file; return its samples."""
    count = round(seconds * 16_000)
    tone = (int(9_000 * math.sin(2 * math.pi * tone_hz * index / 16_000)) for index in range(count))
    samples = b"".join(struct.pack("<h", sample) for sample in tone)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples)
    return samples

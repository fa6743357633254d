"""Figures as a table for people, JSON for programs, and a drawing of latency against streams."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from vexa_events.errors import InvalidMessage
from vexa_pool.loadtest.figures import Figures
from vexa_pool.loadtest.profile import Throughput

WIDTH, HEIGHT, MARGIN = 720, 380, 56
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
COLUMNS = (
    "streams",
    "partial p50",
    "p95",
    "p99",
    "worst p95",
    "commit p50",
    "p95",
    "WER %",
    "flicker",
    "missed %",
    "upd/s",
    "cores",
    "others",
    "RSS MB",
)
_FIGURES = TypeAdapter(list[Figures])


def cells(figures: Figures) -> list[str]:
    """Spell one run as a row."""
    cost = figures.cost
    return [
        str(figures.streams),
        f"{figures.partial_p50_s:.2f}",
        f"{figures.partial_p95_s:.2f}",
        f"{figures.partial_p99_s:.2f}",
        f"{figures.worst_stream_p95_s:.2f}",
        f"{figures.commit_p50_s:.2f}",
        f"{figures.commit_p95_s:.2f}",
        f"{100 * figures.word_error_rate:.1f}",
        f"{figures.flicker:.2f}",
        f"{100 * figures.missed:.1f}",
        f"{figures.updates_per_s:.2f}",
        "-" if cost.server_cores is None else f"{cost.server_cores:.2f}",
        f"{cost.other_cores:.2f}",
        "-" if cost.rss_mb is None else f"{cost.rss_mb:.0f}",
    ]


def table(runs: Sequence[Figures]) -> Table:
    """Lay runs out for a terminal."""
    shown = Table(title="Seconds from the end of each spoken word")
    for name in ("server", *COLUMNS):
        shown.add_column(name, justify="right")
    for figures in runs:
        shown.add_row(figures.server, *cells(figures))
    return shown


def throughput_table(measured: Sequence[Throughput]) -> Table:
    """Lay out what each batch size gives."""
    shown = Table(title="Six seconds of speech a window")
    for name in ("precision", "windows at once", "windows/s", "s a group"):
        shown.add_column(name, justify="right")
    for one in measured:
        shown.add_row(one.precision, str(one.batch), f"{one.windows_per_s:.1f}", f"{one.group_s:.3f}")
    return shown


def markdown(runs: Sequence[Figures]) -> str:
    """Lay runs out for a README."""
    rows = [["server", *COLUMNS], ["---"] * (1 + len(COLUMNS)), *([run.server, *cells(run)] for run in runs)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def ratios(runs: Sequence[Figures]) -> list[str]:
    """Compare every server with the first, wherever both carried the same number of streams."""
    if not runs:
        return []
    first_by_streams = {figures.streams: figures for figures in runs if figures.server == runs[0].server}
    return [
        f"{other.streams} streams, {other.server} / {one.server}: {', '.join(_ratios(one, other))}"
        for other in runs
        if other.server != runs[0].server and (one := first_by_streams.get(other.streams)) is not None
    ]


def write_json(runs: Sequence[Figures], file: Path) -> None:
    """Write every figure."""
    file.write_text(_FIGURES.dump_json(list(runs), indent=1).decode() + "\n")


def read_json(file: Path) -> list[Figures]:
    """Read what `write_json` wrote; raise InvalidMessage where it is something else."""
    try:
        return _FIGURES.validate_json(file.read_bytes())
    except (OSError, ValidationError) as exc:
        raise InvalidMessage(f"{file} holds no figures: {exc}") from exc


def write_plot(runs: Sequence[Figures], file: Path) -> None:
    """Draw 95th percentiles of partial (solid) and commit (dashed) latency against streams."""
    most_s = max([1.0, *(max(run.partial_p95_s, run.commit_p95_s) for run in runs)])
    most_streams = max(run.streams for run in runs)
    body = [*_axes(most_streams, most_s)]
    servers = tuple(dict.fromkeys(run.server for run in runs))
    for at, (colour, server) in enumerate(zip(COLOURS, servers, strict=False)):
        of_server = sorted((run for run in runs if run.server == server), key=lambda run: run.streams)
        partial = [_point(run.streams / most_streams, run.partial_p95_s / most_s) for run in of_server]
        commit = [_point(run.streams / most_streams, run.commit_p95_s / most_s) for run in of_server]
        body += [_line(partial, colour, "none"), _line(commit, colour, "6 4")]
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in partial + commit]
        body += [_text(WIDTH - MARGIN, 20 + 16 * at, server, "end", fill=colour)]
    body += [_text(MARGIN, 20, "p95 in seconds: partial (solid), commit (dashed); x: streams", "start")]
    view = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12"'
    background = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    file.write_text(f"<svg {view} {style}>{background}\n" + "\n".join(body) + "\n</svg>\n")


def _ratios(one: Figures, two: Figures) -> Iterator[str]:
    pairs = {
        "partial p95": (one.partial_p95_s, two.partial_p95_s),
        "commit p95": (one.commit_p95_s, two.commit_p95_s),
        "cores": (one.cost.server_cores, two.cost.server_cores),
        "memory": (one.cost.rss_mb, two.cost.rss_mb),
    }
    for name, (first, second) in pairs.items():
        if first and second:
            yield f"{name} x{second / first:.2f}"


def _axes(most_streams: int, most_s: float) -> list[str]:
    drawn = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        (left, y), (x, bottom) = _point(0.0, share), _point(share, 0.0)
        drawn.append(f'<line x1="{left}" y1="{y}" x2="{WIDTH - MARGIN}" y2="{y}" stroke="#ddd"/>')
        drawn += [_text(left - 8, y + 4, f"{share * most_s:.1f}", "end")]
        drawn += [_text(x, bottom + 20, f"{share * most_streams:.0f}", "middle")]
    return drawn


def _point(x_share: float, y_share: float) -> tuple[float, float]:
    return MARGIN + x_share * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - y_share * (HEIGHT - 2 * MARGIN)


def _line(points: Sequence[tuple[float, float]], colour: str, dashes: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'


def _text(x: float, y: float, text: str, anchor: str, *, fill: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'

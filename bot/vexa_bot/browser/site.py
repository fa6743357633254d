"""What the shared browser code needs to know about one platform."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vexa_bot.browser.page_messages import TrackFacts
from vexa_bot.browser.snapshot import Snapshot, Verdict
from vexa_bot.browser.steps import Steps
from vexa_events.identity import StreamKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that may be visible: elements by CSS, of which one has a text by regular expression."""

    css: str
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What to look for on a platform's pages; handed to the page script as it is."""

    visible: Mapping[str, Mark]
    tile: str | None = None
    """One element a person."""
    tile_name: str | None = None
    tile_id: str | None = None
    """The attribute that names the person."""
    self_: str | None = None
    """Tells the bot's own tile, itself or inside."""
    speaking: str | None = None
    """Tells that the person speaks, itself or inside the tile."""
    muted: str | None = None
    """Tells that the person is muted, itself or inside the tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """As whom the bot joins."""

    name: str
    passcode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """How a platform hands out its sound."""

    kind: StreamKind
    signal_words: tuple[str, ...] = field(default=())
    """Signalling frames that hold one of these are kept as evidence."""


class Site(Protocol):
    """One platform."""

    @property
    def marks(self) -> Marks:
        """What to look for."""

    @property
    def lane(self) -> Lane:
        """How sound and signals come."""

    async def join(self, steps: Steps, guest: Guest) -> None:
        """Go there, up to the last click; may be called again on the same page. Raises StepFailed."""

    def probe(self, snapshot: Snapshot) -> Verdict:
        """Judge one snapshot. Pure."""

    def owner(self, track: TrackFacts, tile_name: str | None, snapshot: Snapshot) -> str | None:
        """Name whose track it is where the page or its signalling ties them together. Pure."""

    def muted(self, snapshot: Snapshot) -> frozenset[str]:
        """Name those whom the page or its signalling shows as muted. Pure."""

    async def leave(self, steps: Steps) -> None:
        """Leave the meeting, or its waiting room. Raises StepFailed."""

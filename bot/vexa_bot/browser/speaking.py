"""
From what a page shows at many moments to the intervals in which each person was shown as speaking. Plain values.

An indicator comes up after the voice has begun, and goes out between words;
both are evened out, but only while nobody else is shown. Some pages show the
last speaker until the next one is noticed: where one face takes the place of
another, nobody knows who spoke just before, so that time is left to nobody.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from vexa_bot.capture import LONGEST_HINT_MS, SpeakerHinted

LEAD_MS = 300
"""So long may a voice have been heard before the page shows it."""
HOLD_MS = 800
"""An indicator that goes out for less than this, with nobody else's on, did not go out."""
UNSURE_MS = 1_000
"""So long may a page have shown the last speaker while the next one spoke."""
BLIND_MS = 2_000
"""After looks that lie so far apart nobody knows what was shown between them."""
EVIDENCE = "the page shows who speaks"


@dataclass(slots=True)
class _Voice:
    from_ms: int
    """What was shown before this is told."""
    off_ms: int | None = None
    """Since when the indicator is out."""


class Speaking:
    """The voices of one session; times are positions on its clock."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}
        self._looked_ms = 0
        self._shown_until_ms = 0
        """Until when anybody was shown."""

    def look(self, at_ms: int, names: Collection[str]) -> Iterator[SpeakerHinted]:
        """Take in who is shown; a look from before the last one tells nothing."""
        if at_ms < self._looked_ms:
            return
        if at_ms - self._looked_ms > BLIND_MS:
            yield from self.stop()
        arriving = [name for name in names if name not in self._voices]
        for name, voice in list(self._voices.items()):
            if name in names:
                yield from _stay(name, voice, at_ms)
            else:
                yield from self._go(name, voice, at_ms, is_taken=bool(names), is_replaced=bool(arriving))
        is_alone = len(names) == 1
        from_ms = max(self._shown_until_ms, at_ms - LEAD_MS) if is_alone else at_ms
        self._voices |= {name: _Voice(from_ms=from_ms) for name in arriving}
        self._shown_until_ms = at_ms if names else self._shown_until_ms
        self._looked_ms = at_ms

    def stop(self) -> Iterator[SpeakerHinted]:
        """End every interval where the page was last looked at."""
        for name, voice in self._voices.items():
            yield from _hint(name, voice, self._looked_ms if voice.off_ms is None else voice.off_ms)
        self._voices.clear()

    def _go(
        self, name: str, voice: _Voice, at_ms: int, *, is_taken: bool, is_replaced: bool
    ) -> Iterator[SpeakerHinted]:
        """`is_taken` tells whether somebody else is shown, `is_replaced` whether it is somebody new."""
        was_on = voice.off_ms is None
        off_ms = voice.off_ms = at_ms if voice.off_ms is None else voice.off_ms
        self._shown_until_ms = max(self._shown_until_ms, off_ms)
        if is_taken or at_ms - off_ms >= HOLD_MS:
            yield from _hint(name, voice, off_ms - UNSURE_MS if was_on and is_replaced else off_ms)
            del self._voices[name]


def _stay(name: str, voice: _Voice, at_ms: int) -> Iterator[SpeakerHinted]:
    voice.off_ms = None
    sure_ms = at_ms - UNSURE_MS
    if sure_ms - voice.from_ms >= LONGEST_HINT_MS - UNSURE_MS:
        yield from _hint(name, voice, sure_ms)
        voice.from_ms = sure_ms


def _hint(name: str, voice: _Voice, until_ms: int) -> Iterator[SpeakerHinted]:
    for from_ms in range(voice.from_ms, until_ms, LONGEST_HINT_MS):
        end_ms = min(from_ms + LONGEST_HINT_MS, until_ms)
        yield SpeakerHinted(from_ms=from_ms, until_ms=end_ms, speaker=name, evidence=EVIDENCE)

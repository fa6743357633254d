"""
How far a stream is behind its speaker.

Audio waits in two places: here, for its decode, and at the sender, while this
worker does not read. The second is not seen, so it is reckoned: a speaker goes
on while we do not read, and a sender that lets us wait has nothing in hand.
"""

LIVE_SHARE = 0.5
"""A sender whose audio we wait for this long, as a share of its length, sends as it is spoken."""


class HeldBack:
    """Pure: reckons the audio that a sender holds back, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def unread(self, passed_s: float) -> None:
        """Nothing was read for a while: the speaker went on."""
        self.seconds += passed_s

    def received(self, audio_s: float, *, waited_s: float) -> None:
        """Audio came, after we had waited for it."""
        if waited_s >= LIVE_SHARE * audio_s:
            self.seconds = 0.0
        else:
            self.seconds = max(0.0, self.seconds - (audio_s - waited_s))

    def ended(self) -> None:
        """Nothing follows."""
        self.seconds = 0.0

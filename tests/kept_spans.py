"""An exporter for tests of what is recorded."""

from vexa_events.tracing import Span


class KeptSpans:
    """Keeps every span that has ended."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def offer(self, span: Span) -> None:
        self.spans.append(span)

    async def aclose(self) -> None:
        """Nothing to hand on."""

"""What the page scripts tell, parsed; a page is not trusted, so everything is bounded."""

import base64
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from vexa_bot.session_clock import BYTES_PER_MS
from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.stream import SAMPLE_RATE_HZ

MAX_MESSAGE_CHARS = 256 * 1024
CHUNK_MS = 200
CHUNK_SAMPLES = SAMPLE_RATE_HZ * CHUNK_MS // 1_000
"""A multiple of the 128 samples in which a page renders audio."""
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1_000


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    return text


DocumentId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
TrackNumber = Annotated[int, Field(ge=1, le=1_000_000)]
ShortText = Annotated[str, Field(max_length=1_000), AfterValidator(_storable)]
PersonName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_storable)]
UnixMs = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0.0, le=10.0)]


def _decode(pcm: object) -> bytes:
    """Decode base64; what is less than a millisecond at the end is left out."""
    if not isinstance(pcm, str) or len(pcm) > 4 * CHUNK_SAMPLES:
        raise ValueError("must be a chunk of samples in base64")
    samples = base64.b64decode(pcm, validate=True)
    return samples[: len(samples) // BYTES_PER_MS * BYTES_PER_MS]


class _PageMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    doc: DocumentId
    """Names one document of one frame; another one comes with every navigation."""


class AudioChunk(_PageMessage):
    """Samples of one track: int16 little-endian, mono, 16 kHz, whole milliseconds."""

    kind: Literal["audio"]
    track: TrackNumber
    first: Annotated[int, Field(ge=0)]
    """Number of the first sample on the clock of the document's audio context."""
    at: UnixMs
    """When the last sample was rendered, in Unix milliseconds."""
    samples: Annotated[bytes, BeforeValidator(_decode)] = Field(alias="pcm")


class TrackEnded(_PageMessage):
    """Nothing follows from this track."""

    kind: Literal["ended"]
    track: TrackNumber


class SpeakingNow(_PageMessage):
    """Who is shown as speaking at one moment."""

    kind: Literal["speaking"]
    at: UnixMs
    """In Unix milliseconds."""
    names: Annotated[tuple[PersonName, ...], Field(max_length=300)]


class TrackFacts(BaseModel):
    """One audio track as the page sees it, since the last report."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: TrackNumber
    label: ShortText = ""
    """Id of the media stream that the other side put the track into."""
    level: Level = 0.0
    """Loudest level that the network side measured."""
    peak: Level = 0.0
    """Loudest sample that was captured."""


class Person(BaseModel):
    """Somebody whom the page shows as present."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ShortText
    name: PersonName
    self: bool = False
    speaking: bool = False
    muted: bool = False


class PageFacts(_PageMessage):
    """What one document shows at one moment."""

    kind: Literal["facts"]
    context: ShortText | None = None
    """State of the audio context; None while there is none."""
    connections: Annotated[tuple[ShortText, ...], Field(max_length=1_000)] = ()
    tracks: Annotated[tuple[TrackFacts, ...], Field(max_length=1_000)] = ()
    faults: Annotated[tuple[ShortText, ...], Field(max_length=100)] = ()
    marks: dict[str, ShortText] = Field(default_factory=dict, max_length=100)
    """Text of each visible mark by its name."""
    people: Annotated[tuple[Person, ...], Field(max_length=300)] = ()
    owners: dict[TrackNumber, PersonName] = Field(default_factory=dict, max_length=1_000)
    """Name of the tile that plays a track, by the track's number."""


StreamMessage = AudioChunk | TrackEnded | SpeakingNow
"""What counts in its order."""
PageMessage = StreamMessage | PageFacts
_CODEC: TypeAdapter[PageMessage] = TypeAdapter(Annotated[PageMessage, Field(discriminator="kind")])


def parse_page_message(text: str) -> PageMessage:
    """Parse one message; raise InvalidMessage naming the fault."""
    if len(text) > MAX_MESSAGE_CHARS:
        raise InvalidMessage(f"page sent {len(text)} characters at once")
    try:
        return _CODEC.validate_json(text)
    except ValidationError as exc:
        raise InvalidMessage(f"page message: {faults(exc)}") from exc

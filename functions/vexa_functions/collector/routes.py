"""What users ask the collector: transcripts, meetings, searches, notes and deletions."""

from starlette.requests import Request
from starlette.responses import Response

from vexa_events.errors import InvalidMessage
from vexa_events.identity import BotStatus
from vexa_functions.answers import MeetingAnswer, MessageAnswer
from vexa_functions.auth.calls import user_call
from vexa_functions.auth.scopes import Scope
from vexa_functions.collector.answers import MeetingsAnswer, SearchAnswer, TranscriptAnswer
from vexa_functions.collector.deps import CollectorDeps
from vexa_functions.collector.editing import MeetingChange, change_meeting, delete_meeting
from vexa_functions.collector.formats import MEDIA_TYPES, Format, wanted_format, write_transcript
from vexa_functions.collector.reader import MeetingName, Window, list_meetings, read_transcript, search
from vexa_functions.hosting.door import answer, read_model
from vexa_functions.hosting.operations import Caller, Operation, Parameter
from vexa_functions.hosting.parameters import (
    choice_in_query,
    number_in_query,
    row_id_in_path,
    row_id_in_query,
    text_in_path,
    text_in_query,
    time_in_query,
)

MAX_SEGMENTS = 5_000
MAX_MEETINGS = 1_000
MAX_OFFSET = 2**31
MAX_QUERY = 200
DEFAULT_FOUND = 20
MAX_FOUND = 100


async def get_transcript(request: Request) -> Response:
    """GET /transcripts/{platform}/{native_meeting_id}"""
    return await _transcript(request, _name_in_path(request))


async def get_meeting(request: Request) -> Response:
    """GET /meetings/{id}"""
    return await _transcript(request, MeetingName(meeting_id=row_id_in_path(request)))


async def get_search(request: Request) -> Response:
    """GET /transcripts?q="""
    deps, principal = await user_call(request, CollectorDeps)
    query = text_in_query(request, "q", most=MAX_QUERY)
    if query is None:
        raise InvalidMessage("q: is missing")
    offset = number_in_query(request, "offset", default=0, most=MAX_OFFSET)
    limit = number_in_query(request, "limit", default=DEFAULT_FOUND, least=1, most=MAX_FOUND)
    return answer(await search(deps.store, principal.user_id, query, offset=offset, limit=limit))


async def get_meetings(request: Request) -> Response:
    """GET /meetings"""
    deps, principal = await user_call(request, CollectorDeps)
    listed = await list_meetings(
        deps.store,
        principal.user_id,
        status=choice_in_query(request, "status", list(BotStatus)),
        platform=text_in_query(request, "platform"),
        offset=number_in_query(request, "offset", default=0, most=MAX_OFFSET),
        limit=_limit(request, most=MAX_MEETINGS),
    )
    return answer(listed)


async def patch_meeting(request: Request) -> Response:
    """PATCH /meetings/{platform}/{native_meeting_id}"""
    deps, principal = await user_call(request, CollectorDeps)
    change = await read_model(request, MeetingChange)
    return answer(await change_meeting(deps.store, principal.user_id, _name_in_path(request), change))


async def remove_meeting(request: Request) -> Response:
    """DELETE /meetings/{platform}/{native_meeting_id}"""
    deps, principal = await user_call(request, CollectorDeps)
    name = _name_in_path(request)
    meeting_id = await delete_meeting(deps.store, deps.live, principal.user_id, name, signing_key=deps.signing_key)
    return answer(MessageAnswer(message=f"Meeting {meeting_id} is deleted: its transcript is erased."))


MEETING = "/{platform}/{native_meeting_id}"
MEETING_ID = Parameter(
    name="meeting_id",
    meaning="Which of the meetings with these ids; the newest one where absent.",
    schema={"type": "integer", "minimum": 0},
)
WINDOW = (
    Parameter(
        name="format",
        meaning="The form of the answer; goes before the Accept header.",
        schema={"type": "string", "enum": [form.value for form in Format]},
    ),
    Parameter(
        name="limit",
        meaning="How many segments to answer at most; next_cursor leads to the others. JSON only.",
        schema={"type": "integer", "minimum": 1, "maximum": MAX_SEGMENTS},
    ),
    Parameter(
        name="cursor",
        meaning="The next_cursor of the page before. JSON only.",
        schema={"type": "string", "minLength": 1, "maxLength": 255},
    ),
    Parameter(
        name="since",
        meaning=(
            "Only segments that were stored, or were given a speaker, at this time or later. Some that were stored "
            "a little earlier come again; segment_id tells them. JSON only."
        ),
        schema={"type": "string", "format": "date-time"},
    ),
)
OFFSET = Parameter(
    name="offset",
    meaning="How many to leave out.",
    schema={"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
)
FORMS = tuple(media_type for form, media_type in MEDIA_TYPES.items() if form is not Format.JSON)
OPERATIONS = (
    Operation(
        method="GET",
        path="/transcripts",
        handler=get_search,
        summary="Search what was said",
        caller=Caller.USER,
        scope=Scope.READ,
        parameters=(
            Parameter(
                name="q",
                meaning='Words to find; "several together" in quotes, -without one, this or that.',
                schema={"type": "string", "minLength": 1, "maxLength": MAX_QUERY},
                is_required=True,
            ),
            OFFSET,
            Parameter(
                name="limit",
                meaning="How many to answer at most.",
                schema={"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "default": DEFAULT_FOUND},
            ),
        ),
        answers={200: SearchAnswer},
        errors=(422,),
    ),
    Operation(
        method="GET",
        path="/transcripts" + MEETING,
        handler=get_transcript,
        summary="Read the transcript of a meeting, with its coverage",
        caller=Caller.USER,
        scope=Scope.READ,
        parameters=(MEETING_ID, *WINDOW),
        answers={200: TranscriptAnswer},
        media_types=FORMS,
        errors=(404, 422),
    ),
    Operation(
        method="GET",
        path="/meetings",
        handler=get_meetings,
        summary="List meetings, newest first",
        caller=Caller.USER,
        scope=Scope.READ,
        parameters=(
            Parameter(
                name="status",
                meaning="Only those in this state.",
                schema={"type": "string", "enum": [status.value for status in BotStatus]},
            ),
            Parameter(
                name="platform",
                meaning="Only those of this platform.",
                schema={"type": "string", "minLength": 1, "maxLength": 255},
            ),
            OFFSET,
            Parameter(
                name="limit",
                meaning="How many to answer at most; all of them where absent.",
                schema={"type": "integer", "minimum": 1, "maximum": MAX_MEETINGS},
            ),
        ),
        answers={200: MeetingsAnswer},
        errors=(422,),
    ),
    Operation(
        method="GET",
        path="/meetings/{id}",
        handler=get_meeting,
        summary="Read a meeting by its row id, with its transcript and coverage",
        caller=Caller.USER,
        scope=Scope.READ,
        parameters=WINDOW,
        answers={200: TranscriptAnswer},
        media_types=FORMS,
        errors=(404, 422),
    ),
    Operation(
        method="PATCH",
        path="/meetings" + MEETING,
        handler=patch_meeting,
        summary="Write down a name, participants, languages or notes",
        caller=Caller.USER,
        parameters=(MEETING_ID,),
        body=MeetingChange,
        answers={200: MeetingAnswer},
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/meetings" + MEETING,
        handler=remove_meeting,
        summary="Erase the transcript of a meeting that has ended, and make the rest anonymous",
        caller=Caller.USER,
        parameters=(MEETING_ID,),
        answers={200: MessageAnswer},
        errors=(404, 409, 422),
    ),
)


async def _transcript(request: Request, name: MeetingName) -> Response:
    """Answer a transcript in the form that is asked for."""
    deps, principal = await user_call(request, CollectorDeps)
    named = choice_in_query(request, "format", list(Format))
    form = Format(named) if named is not None else wanted_format(request.headers.get("accept"))
    window = Window(
        since=time_in_query(request, "since"),
        cursor=text_in_query(request, "cursor"),
        limit=_limit(request, most=MAX_SEGMENTS),
    )
    if form is not Format.JSON and not window.is_whole:
        raise InvalidMessage(f"format: {form.value} is written whole; leave out limit, cursor and since")
    transcript = await read_transcript(deps.store, principal.user_id, name, window=window)
    headers = {"vary": "accept"}
    if form is not Format.JSON:
        headers["content-disposition"] = f'inline; filename="transcript-{transcript.id}.{form.value}"'
    return Response(write_transcript(transcript, form), headers=headers, media_type=MEDIA_TYPES[form])


def _name_in_path(request: Request) -> MeetingName:
    return MeetingName(
        platform=text_in_path(request, "platform"),
        native_meeting_id=text_in_path(request, "native_meeting_id"),
        meeting_id=row_id_in_query(request, "meeting_id"),
    )


def _limit(request: Request, *, most: int) -> int | None:
    if "limit" not in request.query_params:
        return None
    return number_in_query(request, "limit", default=most, least=1, most=most)

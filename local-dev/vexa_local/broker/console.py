"""
The event console: a page that shows what becomes of events, for this machine alone.

A name that is not this machine's own is refused, so that no web site can reach
it by pointing its own name here; and a redrive needs a header that no other
site can send.
"""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage, NotFound
from vexa_local.broker.chronicle import Note, Seen
from vexa_local.broker.delivery import DeliveryPolicy
from vexa_local.broker.filters import attributes_of
from vexa_local.broker.resources import BrokerName, Trigger
from vexa_local.broker.work import Deps

PAGE = Path(__file__).parent / "page"
MEDIA_TYPES = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
GUARD = "x-vexa-console"
MOST_NOTES = 2_000
"""In one answer; the page asks again for what follows."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


async def show_page(request: Request) -> Response:
    """GET /"""
    _check_local(request)
    return FileResponse(PAGE / "index.html", headers=HEADERS, media_type="text/html")


async def show_file(request: Request) -> Response:
    """GET /console/{file}"""
    _check_local(request)
    name = request.path_params["file"]
    if name not in MEDIA_TYPES:
        raise HTTPException(404)
    return FileResponse(PAGE / name, headers=HEADERS, media_type=MEDIA_TYPES[name])


async def show_brokers(request: Request) -> Response:
    """GET /console/brokers"""
    deps = _deps(request)
    brokers = [{"name": str(broker), "triggers": _triggers(deps, broker)} for broker in deps.resources.brokers]
    return JSONResponse({"brokers": brokers}, headers=HEADERS)


async def show_notes(request: Request) -> Response:
    """GET /console/brokers/{namespace}/{broker}/notes?after=POSITION"""
    deps, broker = _deps(request), _broker(request)
    after = request.query_params.get("after") or None
    if after is not None and not after.replace("-", "", 1).isdecimal():
        raise InvalidMessage("after: is no position")
    notes = await deps.chronicle.recent(broker, after=after, count=MOST_NOTES)
    triggers, types = deps.resources.triggers_of(broker), deps.resources.types_of(broker)
    shown = [_shown(note, triggers, types) for _, note in notes]
    answer = {"notes": shown, "next": notes[-1][0] if notes else after, "dropped": deps.chronicle.dropped}
    return JSONResponse(answer, headers=HEADERS)


async def show_letters(request: Request) -> Response:
    """GET /console/brokers/{namespace}/{broker}/letters"""
    places = _deps(request).letters[_broker(request)]
    letters = [[{"place": place, **asdict(letter)} for letter in await lies.listed()] for place, lies in places.items()]
    return JSONResponse({"letters": list(chain.from_iterable(letters))}, headers=HEADERS)


async def redrive(request: Request) -> Response:
    """POST /console/brokers/{namespace}/{broker}/letters/{place}/{id}/redrive"""
    deps = _deps(request)
    if GUARD not in request.headers:
        raise HTTPException(403, f"the header {GUARD} is missing")
    places, place, letter_id = deps.letters[_broker(request)], request.path_params["place"], request.path_params["id"]
    if place not in places:
        raise NotFound(f"no place {place}")
    if not letter_id.replace("-", "", 1).isdecimal():
        raise InvalidMessage(f"{letter_id[:40]!r} is no dead letter")
    await places[place].redrive(letter_id)
    return Response(status_code=202, headers=HEADERS)


_OF_BROKER = "/console/brokers/{namespace}/{broker}"
ROUTES = [
    Route("/", show_page, methods=["GET"]),
    Route("/console/brokers", show_brokers, methods=["GET"]),
    Route(f"{_OF_BROKER}/notes", show_notes, methods=["GET"]),
    Route(f"{_OF_BROKER}/letters", show_letters, methods=["GET"]),
    Route(f"{_OF_BROKER}/letters/{{place}}/{{id}}/redrive", redrive, methods=["POST"]),
    Route("/console/{file}", show_file, methods=["GET"]),
]


def _check_local(request: Request) -> None:
    if request.url.hostname not in OWN_NAMES:
        raise HTTPException(403, "the console is for this machine alone")


def _deps(request: Request) -> Deps:
    _check_local(request)
    deps: Deps = request.app.state.deps
    return deps


def _broker(request: Request) -> BrokerName:
    name = BrokerName(namespace=request.path_params["namespace"], name=request.path_params["broker"])
    if name not in request.app.state.deps.journals:
        raise NotFound(f"no Broker {name}")
    return name


def _triggers(deps: Deps, broker: BrokerName) -> list[Mapping[str, object]]:
    return [
        {
            "name": trigger.name,
            "subscriber": trigger.subscriber_url,
            "is_ordered": trigger.is_ordered,
            "filter": asdict(trigger.wants.judge({})),
            "policy": _policy(trigger.policy),
            "counts": dict(deps.tallies[trigger.name].counts),
        }
        for trigger in deps.resources.triggers_of(broker)
    ]


def _policy(policy: DeliveryPolicy) -> Mapping[str, object]:
    return {
        "waits_s": [policy.wait_s(retry) for retry in range(policy.retry)],
        "timeout_s": policy.timeout_s,
        "dead_letter_sink": policy.dead_letter_url,
    }


def _shown(note: Note, triggers: tuple[Trigger, ...], types: frozenset[str]) -> Mapping[str, object]:
    """Add to an accepted event what each Trigger says of it, and whether its type is registered."""
    shown = note.model_dump(mode="json", exclude_none=True)
    if note.event is None:
        return shown
    attributes = attributes_of(_event(note.event))
    verdicts = [{"trigger": trigger.name, **asdict(trigger.wants.judge(attributes))} for trigger in triggers]
    return {**shown, "verdicts": verdicts, "is_known": note.event.type in types}


def _event(seen: Seen) -> Event:
    return Event(data=None, **seen.model_dump())

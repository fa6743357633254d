"""The console's view of the dead letter function."""

import httpx
import pytest
from starlette.types import ASGIApp
from tests.waiting import DEADLINE_S

from vexa_events.envelope import Event, encode_binary
from vexa_events.errors import NotFound, Unavailable
from vexa_local.broker.letters import FunctionLetters

ADMIN_KEY = "an administrator key for tests"
EVENT = Event(
    id="1",
    source="/vexa/test",
    type="vexa.test.posted.v1",
    subject="meetings/7",
    data={"text": "spoken words"},
    extensions={"knativeerrordest": "http://collector/events", "knativeerrorcode": "422"},
)


async def test_what_the_function_keeps_is_listed_and_redriven(dead_letters: httpx.AsyncClient) -> None:
    """The administrator's key opens the list; a letter that was sent again leaves it."""
    headers, body = encode_binary(EVENT)
    await dead_letters.post("/", headers=headers, content=body)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(_app(dead_letters))) as client:
        letters = FunctionLetters(client, "http://dead-letters", admin_key=ADMIN_KEY)

        [letter] = await letters.listed()
        await letters.redrive(letter.id)

        assert (letter.event_id, letter.type, letter.subject) == ("1", EVENT.type, "meetings/7")
        assert (letter.destination, letter.code) == ("http://collector/events", "422")
        assert await letters.listed() == []
        with pytest.raises(NotFound):
            await letters.redrive("999")


async def test_a_wrong_key_or_an_absent_function_is_told(dead_letters: httpx.AsyncClient) -> None:
    """The console goes on without the list."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(_app(dead_letters))) as client:
        with pytest.raises(Unavailable, match=r"401|403"):
            await FunctionLetters(client, "http://dead-letters", admin_key="wrong").listed()
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        with pytest.raises(Unavailable, match="ConnectError"):
            await FunctionLetters(client, "http://127.0.0.1:9", admin_key=ADMIN_KEY).listed()


def _app(client: httpx.AsyncClient) -> ASGIApp:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: ASGIApp = transport.app
    return app

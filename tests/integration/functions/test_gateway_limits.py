"""Limits, keys in use, and connections to the functions behind."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.waiting import DEADLINE_S

from vexa_events.errors import Unavailable
from vexa_functions.gateway.limits import Limit, Limiter, RateLimited
from vexa_functions.gateway.upstream import Upstream
from vexa_functions.store.tables import Store


async def test_two_instances_together_let_no_more_through(valkey: "redis.Redis") -> None:
    """The bucket is in Valkey: its tokens are there once, however many ask at once."""
    limit = Limit(rate_hz=1.0, burst=40)
    limiters = [Limiter(valkey), Limiter(valkey)]
    began_s = time.monotonic()

    passed = sum(await asyncio.gather(*(_passes(limiters[number % 2], limit) for number in range(200))))

    assert 35 <= passed <= 40 + (time.monotonic() - began_s) + 1


async def test_whoever_stays_below_the_rate_is_never_refused(valkey: "redis.Redis") -> None:
    """Leases that are not used up cost a quiet caller nothing that matters."""
    limiter, limit = Limiter(valkey), Limit(rate_hz=1000.0, burst=20)

    for _ in range(100):
        assert await _passes(limiter, limit)
        await asyncio.sleep(0.002)


async def test_nobody_is_refused_while_valkey_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """Limits protect the service; without them it goes on, and says so once."""
    client: redis.Redis = redis.Redis.from_url("redis://127.0.0.1:9")
    limiter = Limiter(client)

    assert all([await _passes(limiter, Limit(rate_hz=1.0, burst=1)) for _ in range(20)])
    assert caplog.messages.count("rate limits are off: valkey does not answer") == 1
    await client.aclose()


async def test_a_caller_over_its_limit_is_told_when_to_return(start_gateway: Any, make_key: Any) -> None:
    """429 with Retry-After, per key for those who have one and per address for those who guess."""
    url = await start_gateway(
        RATE_PER_KEY_HZ="0.001", BURST_PER_KEY="2", RATE_PER_ADDRESS_HZ="0.001", BURST_PER_ADDRESS="4"
    )
    ann, bob = await make_key("ann@example.org"), await make_key("bob@example.org")
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S) as client:
        anns = [await client.get("/meetings", headers={"x-api-key": ann}) for _ in range(4)]
        bobs = await client.get("/meetings", headers={"x-api-key": bob})
        guesses = [await client.get("/meetings", headers={"x-api-key": f"vxa_{number}"}) for number in range(6)]

    assert [answer.status_code for answer in anns] == [503, 503, 429, 429]
    assert int(anns[-1].headers["retry-after"]) >= 1
    assert bobs.status_code == 503
    assert [answer.status_code for answer in guesses] == [403, 403, 429, 429, 429, 429]


async def test_the_last_use_of_a_key_is_noted_once_a_minute(start_gateway: Any, make_key: Any, store: Store) -> None:
    """It shows up soon, and is not written again for every request."""
    url, key = await start_gateway(), await make_key("ann@example.org")
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=DEADLINE_S) as client:
        await client.get("/meetings")
        async with asyncio.timeout(DEADLINE_S):
            while (first := await _last_use(store)) is None:
                await asyncio.sleep(0.01)
    other = await start_gateway()
    async with httpx.AsyncClient(base_url=other, headers={"x-api-key": key}, timeout=DEADLINE_S) as client:
        await client.get("/meetings")

    assert await _last_use(store) == first


async def test_unknown_routes_and_methods_answer_json(start_gateway: Any, api_key: str) -> None:
    """404 and 405 with the methods that there are; never a redirect."""
    url = await start_gateway()
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": api_key}, timeout=DEADLINE_S) as client:
        answers = {
            "unknown": await client.get("/nothing"),
            "slash": await client.get("/meetings/"),
            "detour": await client.get("/transcripts/%2e%2e/events"),
            "method": await client.put("/meetings", json={}),
            "options": await client.options("/meetings", headers={"origin": "https://example.org"}),
            "own": await client.post("/health"),
        }

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "unknown": 404,
        "slash": 404,
        "detour": 404,
        "method": 405,
        "options": 405,
        "own": 405,
    }
    assert all(set(answer.json()) == {"detail"} for answer in answers.values())
    assert answers["method"].headers["allow"] == "GET, HEAD"
    assert "access-control-allow-origin" not in answers["options"].headers


async def test_a_page_of_an_allowed_origin_may_ask(start_gateway: Any) -> None:
    """CORS is off until origins are named."""
    url = await start_gateway(CORS_ORIGINS="https://example.org")
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S) as client:
        allowed = await client.get("/health", headers={"origin": "https://example.org"})
        other = await client.get("/health", headers={"origin": "https://elsewhere.example"})

    assert allowed.headers["access-control-allow-origin"] == "https://example.org"
    assert "access-control-allow-origin" not in other.headers


async def test_a_request_keeps_its_id_all_the_way(start_gateway: Any, serve: Any, api_key: str) -> None:
    """A caller's id reaches the function and comes back; one that cannot be logged is replaced."""

    async def meetings(request: Request) -> Response:
        return JSONResponse({"id": request.headers["x-request-id"]})

    behind = await serve(Starlette(routes=[Route("/meetings", meetings)]))
    url = await start_gateway(TRANSCRIPTION_COLLECTOR_URL=behind)
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": api_key}, timeout=DEADLINE_S) as client:
        given = await client.get("/meetings", headers={"x-request-id": "order-7"})
        made_up = await client.get("/meetings", headers={"x-request-id": "no good"})

    assert given.json()["id"] == given.headers["x-request-id"] == "order-7"
    assert made_up.json()["id"] == made_up.headers["x-request-id"] != "no good"


async def test_what_a_function_must_not_answer_is_not_passed_back(start_gateway: Any, serve: Any, api_key: str) -> None:
    """A redirect, a refused signature and a crash of its host are infrastructure: 503."""
    answers = iter([RedirectResponse("/elsewhere"), JSONResponse({}, 401), Response("boom", 500)])

    async def meetings(_: Request) -> Response:
        return next(answers)

    behind = await serve(Starlette(routes=[Route("/meetings", meetings)]))
    url = await start_gateway(TRANSCRIPTION_COLLECTOR_URL=behind)
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": api_key}, timeout=DEADLINE_S) as client:
        given = [await client.get("/meetings") for _ in range(3)]

    assert [answer.status_code for answer in given] == [503, 503, 503]


async def test_under_overload_a_valid_key_is_told_to_return_and_never_that_it_is_wrong(
    start_gateway: Any, serve: Any, make_key: Any
) -> None:
    """More requests than the function behind takes in time, and more keys than connections to look them up."""
    is_calm = asyncio.Event()

    async def meetings(_: Request) -> Response:
        await is_calm.wait()
        return JSONResponse({"meetings": []})

    behind = await serve(Starlette(routes=[Route("/meetings", meetings)]))
    url = await start_gateway(
        TRANSCRIPTION_COLLECTOR_URL=behind, AUTH_POOL_MAX_SIZE="1", MAX_FORWARDS="4", FORWARD_TIMEOUT_S="0.4"
    )
    keys = [await make_key(f"user{number}@example.org") for number in range(10)]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S, limits=limits) as client:
        crowd = await asyncio.gather(
            *(client.get("/meetings", headers={"x-api-key": key}) for _ in range(5) for key in keys)
        )
        is_calm.set()
        alone = [await _patiently(client, key) for key in keys]

    assert {(answer.status_code, answer.headers.get("retry-after")) for answer in crowd} == {(503, "2")}
    assert {answer.status_code for answer in alone} == {200}


@pytest.fixture
async def closing_server() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each connection's first request alone; it remembers what it was sent."""
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}", seen
    server.close()


async def test_a_connection_that_the_other_side_closed_costs_nothing_but_a_new_one(
    closing_server: tuple[str, list[bytes]],
) -> None:
    """What may be repeated is sent again; a POST is not, because it may have been done."""
    url, seen = closing_server
    upstream = Upstream(url, max_connections=2, timeout_s=DEADLINE_S)
    first = await upstream.request("GET", b"/", [], b"")
    again = await upstream.request("GET", b"/", [], b"")
    with pytest.raises(Unavailable):
        await upstream.request("POST", b"/", [], b"{}")
    await upstream.aclose()

    assert (first.body, again.body, len(seen)) == (b"ok", b"ok", 2)


async def test_requests_over_the_bound_wait_for_their_turn(serve: Any) -> None:
    """No more connections than allowed, and nothing is lost."""
    open_now, most = 0, 0

    async def slow(_: Request) -> Response:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.01)
        open_now -= 1
        return Response("ok")

    upstream = Upstream(await serve(Starlette(routes=[Route("/", slow)])), max_connections=3, timeout_s=DEADLINE_S)
    answers = await asyncio.gather(*(upstream.request("GET", b"/", [], b"") for _ in range(12)))
    await upstream.aclose()

    assert [answer.body for answer in answers] == [b"ok"] * 12
    assert most <= 3


async def _patiently(client: httpx.AsyncClient, key: str) -> httpx.Response:
    """Come again for as long as that is the answer: on a slow machine a single request may be too many."""
    async with asyncio.timeout(DEADLINE_S):
        while (answer := await client.get("/meetings", headers={"x-api-key": key})).status_code == 503:
            pass
    return answer


async def _passes(limiter: Limiter, limit: Limit) -> bool:
    try:
        await limiter.take("somebody", limit)
    except RateLimited:
        return False
    return True


async def _last_use(store: Store) -> Any:
    async with store.reading() as tables:
        return (await tables.tokens.of_user(1))[0].last_used_at

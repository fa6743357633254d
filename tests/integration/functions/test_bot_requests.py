"""What a request for a bot may say, and what it finds: addresses, repetitions, limits, a full pool."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import DEADLINE_S

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_events.launch import ORDER_VARIABLE, BotOrder
from vexa_events.live import WORKER_LIFETIME_S, WorkerSlots, worker_key
from vexa_functions.bots.app import build
from vexa_functions.bots.settings import BotsSettings
from vexa_functions.store.tables import Store

OpenBots = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
WRITE_ORDER = f'{sys.executable} -c \'import os,sys; open(sys.argv[1], "w").write(os.environ["{ORDER_VARIABLE}"])\' '
ALL = "google_meet,teams,zoom,jitsi,janus,replay"
STANDUP = {"platform": "replay", "native_meeting_id": "standup"}


@pytest.fixture
def open_bots(
    postgres_url: str, valkey_url: str, sink: Any, signing_key: str, user: dict[str, str], tmp_path: Path
) -> OpenBots:
    """Put the bots function together with settings of the test's own, called by its user."""
    env = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": valkey_url,
        "TOKEN_SIGNING_KEY": signing_key,
        "K_SINK": sink.url,
        "BOT_COMMAND": "true",
        "BOT_RUN_DIR": str(tmp_path / "run"),
        "BOT_MANAGER_URL": "http://127.0.0.1:9",
        "STREAM_URL": "ws://127.0.0.1:9",
        "VEXA_REPLAY_DIR": str(tmp_path),
    }

    @asynccontextmanager
    async def opened(**settings: str) -> AsyncIterator[httpx.AsyncClient]:
        function = build(BotsSettings.from_env(env | settings))
        transport = httpx.ASGITransport(function.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://function", headers=user) as client:
            yield client
        await function.aclose()

    return opened


async def test_an_address_stands_for_platform_and_id(open_bots: OpenBots) -> None:
    """The meeting keeps the address, and is stopped by what was read from it."""
    async with open_bots(BOT_PLATFORMS=ALL) as bots:
        created = await bots.post("/bots", json={"meeting_url": "Join: https://meet.google.com/abc-defg-hij?hs=1"})
        stopped = await bots.delete("/bots/google_meet/abc-defg-hij")

    read = created.json()
    assert created.status_code == 201
    assert (read["platform"], read["native_meeting_id"]) == ("google_meet", "abc-defg-hij")
    assert read["constructed_meeting_url"] == "https://meet.google.com/abc-defg-hij?hs=1"
    assert stopped.status_code == 202


async def test_the_bot_is_told_all_that_was_asked_for(open_bots: OpenBots, tmp_path: Path) -> None:
    """Address, passcode, name, language, task and when to leave reach its order."""
    wanted = {
        "meeting_url": "https://teams.live.com/meet/9398850880426?p=RBZCWdxyp85TpcKna8",
        "bot_name": "Scribe",
        "language": "de",
        "task": "translate",
        "automatic_leave": {"waiting_room_s": 300, "everyone_left_s": 30},
    }
    written = tmp_path / "order"

    async with open_bots(BOT_PLATFORMS=ALL, BOT_COMMAND=WRITE_ORDER + str(written)) as bots:
        created = await bots.post("/bots", json=wanted)
        order = BotOrder.model_validate_json(await _content(written))

    assert created.status_code == 201
    assert (order.meeting_url, order.passcode) == (wanted["meeting_url"], "RBZCWdxyp85TpcKna8")
    assert (order.bot_name, order.language, order.task) == ("Scribe", "de", "translate")
    assert (order.automatic_leave.waiting_room_s, order.automatic_leave.everyone_left_s) == (300, 30)
    assert order.automatic_leave.max_age_s is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"meeting_url": "https://example.org/x"}, "meeting_url"),
        ({"meeting_url": ""}, "meeting_url"),
        ({"meeting_url": "x" * 8_193}, "meeting_url"),
        ({"meeting_url": "https://meet.ours.example/Room"}, "meeting_url"),
        ({"meeting_url": "replay://standup", "platform": "zoom"}, "platform"),
        ({"meeting_url": "replay://standup", "native_meeting_id": "retro"}, "native_meeting_id"),
        ({"meeting_url": "replay://standup", "passcode": "x"}, "passcode"),
        ({"platform": "google_meet", "native_meeting_id": "abc-defg-hij", "passcode": "12345678"}, "passcode"),
        ({"platform": "teams", "native_meeting_id": "1234567890"}, "passcode"),
        ({"platform": "zoom", "native_meeting_id": "12"}, "native_meeting_id"),
        ({"platform": "webex", "native_meeting_id": "12"}, "platform"),
        ({"platform": "jitsi", "native_meeting_id": "Room@meet.theirs.example"}, "native_meeting_id"),
        ({"platform": "jitsi", "native_meeting_id": "Room@127.0.0.1:8443"}, "native_meeting_id"),
        ({"platform": "janus", "native_meeting_id": "1234"}, "meeting_url"),
        ({**STANDUP, "bot_name": "x" * 101}, "bot_name"),
        ({**STANDUP, "bot_name": ""}, "bot_name"),
        ({**STANDUP, "bot_name": "Ann\n[00:00:00] Bob: yes"}, "bot_name"),
        ({**STANDUP, "language": "EN"}, "language"),
        ({**STANDUP, "automatic_leave": {"waiting_room_s": 1}}, "automatic_leave.waiting_room_s"),
        ({**STANDUP, "automatic_leave": {"max_age_s": 1e9}}, "automatic_leave.max_age_s"),
        ({**STANDUP, "automatic_leave": {"everyone_left": 30}}, "automatic_leave.everyone_left"),
        ({**STANDUP, "automatic_leave": 5}, "automatic_leave"),
    ],
    ids=str,
)
async def test_a_bad_request_is_refused_by_field(open_bots: OpenBots, body: dict[str, Any], named: str) -> None:
    """422 names the field, and no meeting is written."""
    async with open_bots(BOT_PLATFORMS=ALL) as bots:
        answer = await bots.post("/bots", json=body)
        listed = await bots.get("/bots/status")

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{named}: ")
    assert listed.json() == {"running_bots": []}


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("DELETE", "/bots/replay/%00", "native_meeting_id"),
        ("DELETE", "/bots/" + "x" * 256 + "/standup", "platform"),
        ("PUT", "/bots/%00/standup/config", "platform"),
        ("PUT", "/bots/replay/standup/config", "body"),
    ],
)
async def test_a_bad_path_is_refused_by_its_part(open_bots: OpenBots, method: str, path: str, named: str) -> None:
    """What Postgres cannot hold never reaches it."""
    async with open_bots() as bots:
        answer = await bots.request(method, path, json={})

    assert (answer.status_code, answer.json()["detail"].split(":")[0]) == (422, named)


async def test_a_server_of_our_own_is_named_by_a_setting(open_bots: OpenBots) -> None:
    """Bots go to no unknown host, whatever a user pastes."""
    body = {"meeting_url": "https://meet.ours.example/Weekly"}

    async with open_bots(BOT_PLATFORMS="jitsi", BOT_SELF_HOSTED="jitsi=meet.ours.example") as bots:
        created = await bots.post("/bots", json=body)

    assert (created.status_code, created.json()["native_meeting_id"]) == (201, "Weekly@meet.ours.example")


@pytest.mark.parametrize(
    ("platform", "native_meeting_id"), [("janus", "1234"), ("jitsi", "Weekly@meet.ours.example"), ("jitsi", "Weekly")]
)
async def test_an_id_is_enough_where_the_server_is_known(
    open_bots: OpenBots, tmp_path: Path, platform: str, native_meeting_id: str
) -> None:
    """Our own, or the platform's public one."""
    written = tmp_path / "order"
    settings = {"BOT_SELF_HOSTED": "jitsi=meet.ours.example", "JANUS_PAGE_URL": "https://janus.ours.example/"}

    async with open_bots(BOT_PLATFORMS=ALL, BOT_COMMAND=WRITE_ORDER + str(written), **settings) as bots:
        created = await bots.post("/bots", json={"platform": platform, "native_meeting_id": native_meeting_id})
        order = BotOrder.model_validate_json(await _content(written))

    assert created.status_code == 201, created.text
    assert (order.platform, order.native_meeting_id, order.meeting_url) == (platform, native_meeting_id, None)


async def test_a_room_of_our_janus_is_not_looked_for_on_another(open_bots: OpenBots) -> None:
    """An id that names a server needs the address, which tells where the page lies."""
    settings = {"BOT_SELF_HOSTED": "janus=10.0.0.1:8000", "JANUS_PAGE_URL": "https://janus.ours.example/"}

    async with open_bots(BOT_PLATFORMS=ALL, **settings) as bots:
        answer = await bots.post("/bots", json={"platform": "janus", "native_meeting_id": "1234@10.0.0.1:8000"})

    assert (answer.status_code, answer.json()["detail"]) == (422, "meeting_url: is needed for janus")


@pytest.mark.parametrize(
    "setting", [{"BOT_PLATFORMS": "zoom,webex"}, {"BOT_SELF_HOSTED": "zoom=x"}, {"BOT_SELF_HOSTED": "jitsi"}], ids=str
)
def test_a_wrong_setting_stops_the_function(open_bots: OpenBots, setting: dict[str, str]) -> None:
    """The name of the variable is in the message."""
    with pytest.raises(InvalidMessage, match=next(iter(setting))):
        BotsSettings.from_env(setting)


async def test_the_same_request_twice_makes_one_meeting(open_bots: OpenBots) -> None:
    """Sent again under its key it is answered alike; a later meeting with another key is another one."""
    key = {"idempotency-key": "order-66"}
    async with open_bots() as bots:
        answers = [await bots.post("/bots", json=STANDUP, headers=key) for _ in range(3)]
        plain = await bots.post("/bots", json=STANDUP)

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert plain.status_code == 409


async def test_a_key_that_was_used_for_something_else_is_refused(open_bots: OpenBots) -> None:
    """422 names the header, and nothing is written."""
    key = {"idempotency-key": "order-66"}
    async with open_bots() as bots:
        await bots.post("/bots", json=STANDUP, headers=key)
        other = await bots.post("/bots", json={**STANDUP, "native_meeting_id": "retro"}, headers=key)
        listed = (await bots.get("/bots/status")).json()["running_bots"]

    assert (other.status_code, other.json()["detail"]) == (
        422,
        "Idempotency-Key: was used for a request with another body",
    )
    assert [bot["native_meeting_id"] for bot in listed] == ["standup"]


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ключ"], ids=["empty", "long", "words", "not ascii"])
async def test_a_key_that_is_none_is_refused(open_bots: OpenBots, key: str) -> None:
    """Printable ASCII, and not without end."""
    async with open_bots() as bots:
        answer = await bots.post("/bots", json=STANDUP, headers={b"idempotency-key": key.encode()})

    assert (answer.status_code, answer.json()["detail"].split(":")[0]) == (422, "Idempotency-Key")


async def test_a_launch_that_failed_may_be_tried_again_under_its_key(open_bots: OpenBots) -> None:
    """The answer was 503, so the same request is new."""
    key = {"idempotency-key": "order-66"}
    async with open_bots(BOT_COMMAND="/nowhere/bot") as broken:
        failed = await broken.post("/bots", json=STANDUP, headers=key)
    async with open_bots() as bots:
        again = await bots.post("/bots", json=STANDUP, headers=key)

    assert (failed.status_code, again.status_code) == (503, 201)


async def test_two_users_may_use_the_same_key(open_bots: OpenBots, store: Store, headers_of: Any) -> None:
    """A key is the user's own."""
    async with store.transaction() as tables:
        bob = await tables.users.insert(email="bob@example.org", name=None, image_url=None, max_concurrent_bots=1)
    assert bob is not None
    key = {"idempotency-key": "order-66"}
    async with open_bots() as bots:
        mine = await bots.post("/bots", json=STANDUP, headers=key)
        theirs = await bots.post("/bots", json=STANDUP, headers=key | headers_of(bob.id))

    assert mine.json()["id"] != theirs.json()["id"]


@pytest.mark.parametrize(
    ("names", "keys", "expected"),
    [
        (50, False, {201: 2, 403: 48}),
        (1, False, {201: 1, 409: 49}),
        (1, True, {201: 50}),
    ],
    ids=["fifty meetings", "one meeting", "one request"],
)
async def test_fifty_requests_at_once_never_exceed_a_limit(
    open_bots: OpenBots, names: int, keys: bool, expected: dict[int, int]
) -> None:
    """Two bots for a user who may have two, one active meeting for the same ids, one meeting for the same request."""
    key = {"idempotency-key": "order-66"} if keys else {}
    async with open_bots() as bots:
        bodies = [{**STANDUP, "native_meeting_id": f"meeting-{number % names}"} for number in range(50)]
        answers = await asyncio.gather(*(_ask_patiently(bots, body, key) for body in bodies))
        listed = (await bots.get("/bots/status")).json()["running_bots"]

    assert Counter(answer.status_code for answer in answers) == expected
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert {int(bot["meeting_id_from_name"]) for bot in listed} == made
    assert len(made) == min(2, names)


async def test_a_full_pool_refuses_before_anything_is_written(open_bots: OpenBots, valkey: Any) -> None:
    """503 with Retry-After and the reason; a bot on its way counts as a taken slot."""
    async with open_bots(BOT_ADMISSION="pool") as bots:
        nobody = await bots.post("/bots", json=STANDUP)
        await _write_worker(valkey, "a", slots=4, streams=4)
        full = await bots.post("/bots", json=STANDUP)
        await _write_worker(valkey, "b", slots=2, streams=1)
        last = await bots.post("/bots", json=STANDUP, headers={"idempotency-key": "order-66"})
        taken = await bots.post("/bots", json={**STANDUP, "native_meeting_id": "retro"})
        again = await bots.post("/bots", json=STANDUP, headers={"idempotency-key": "order-66"})
        listed = (await bots.get("/bots/status")).json()["running_bots"]

    assert [answer.status_code for answer in (nobody, full, last, taken, again)] == [503, 503, 201, 503, 201]
    assert nobody.json()["detail"] == "no worker of the pool is alive"
    assert all(answer.headers["retry-after"] for answer in (nobody, full, taken))
    assert [bot["native_meeting_id"] for bot in listed] == ["standup"]


async def test_a_worker_that_writes_nonsense_offers_no_slot(open_bots: OpenBots, valkey: Any) -> None:
    """A broken worker must not let bots in, nor break the answer."""
    await valkey.set(worker_key("a"), "{", ex=WORKER_LIFETIME_S)

    async with open_bots(BOT_ADMISSION="pool") as bots:
        answer = await bots.post("/bots", json=STANDUP)

    assert (answer.status_code, answer.json()["detail"]) == (503, "no worker of the pool is alive")


@pytest.mark.parametrize(
    ("wish", "detail"),
    [
        ({"language": "de"}, "language: no worker of the pool takes 'de'; offered: en, fr"),
        ({"task": "translate"}, "task: no worker of the pool takes 'translate'; offered: transcribe"),
        ({"language": "fr", "task": "transcribe"}, None),
        ({"language": "en"}, None),
        ({}, None),
    ],
)
async def test_a_wish_that_no_worker_fulfils_is_refused_before_a_bot_is_sent(
    open_bots: OpenBots, valkey: Any, wish: dict[str, str], detail: str | None
) -> None:
    """The answer names the field and what is offered instead."""
    await _write_worker(valkey, "a", slots=2, streams=0, languages=("en",), tasks=(Task.TRANSCRIBE,))
    await _write_worker(valkey, "b", slots=2, streams=0, languages=("fr",), tasks=(Task.TRANSCRIBE,))

    async with open_bots(BOT_ADMISSION="pool") as bots:
        answer = await bots.post("/bots", json={**STANDUP, **wish})
        listed = (await bots.get("/bots/status")).json()["running_bots"]

    assert answer.status_code == (422 if detail else 201)
    assert answer.json().get("detail") == detail
    assert len(listed) == (0 if detail else 1)


async def test_a_pair_must_be_taken_by_one_worker(open_bots: OpenBots, valkey: Any) -> None:
    """A language of one and a task of another make no transcript."""
    await _write_worker(valkey, "a", slots=2, streams=0, languages=("en",))
    await _write_worker(valkey, "b", slots=2, streams=0, languages=("de",), tasks=(Task.TRANSCRIBE,))

    async with open_bots(BOT_ADMISSION="pool") as bots:
        answer = await bots.post("/bots", json={**STANDUP, "language": "de", "task": "translate"})

    assert answer.status_code == 422
    assert answer.json()["detail"] == "language: no worker of the pool takes 'de' with 'translate'; offered: en"


async def test_a_worker_without_bounds_fulfils_every_wish(open_bots: OpenBots, valkey: Any) -> None:
    """So does one among others that have them."""
    await _write_worker(valkey, "a", slots=2, streams=0, languages=("en",), tasks=(Task.TRANSCRIBE,))
    await _write_worker(valkey, "b", slots=2, streams=0)

    async with open_bots(BOT_ADMISSION="pool") as bots:
        answer = await bots.post("/bots", json={**STANDUP, "language": "de", "task": "translate"})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("settings", "has_worker", "status"),
    [
        ({"BOT_ADMISSION": "pool"}, True, 422),
        ({"BOT_ADMISSION": "off"}, True, 409),
        ({"BOT_ADMISSION": "pool"}, False, 409),
        ({"BOT_ADMISSION": "pool", "REDIS_URL": "redis://127.0.0.1:9/0"}, True, 409),
    ],
    ids=["refused", "admission is off", "no worker lives", "Valkey is away"],
)
async def test_an_order_that_no_worker_fulfils_is_refused_where_that_is_known(
    open_bots: OpenBots, valkey: Any, settings: dict[str, str], has_worker: bool, status: int
) -> None:
    """Elsewhere only the bot's own state counts: one that is not active yet conflicts."""
    if has_worker:
        await _write_worker(valkey, "a", slots=2, streams=0, languages=("en",), tasks=(Task.TRANSCRIBE,))
    async with open_bots(BOT_ADMISSION="off") as bots:
        assert (await bots.post("/bots", json=STANDUP)).status_code == 201

    async with open_bots(**settings) as bots:
        answer = await bots.put("/bots/replay/standup/config", json={"language": "de"})

    assert answer.status_code == status
    if status == 422:
        assert answer.json()["detail"] == "language: no worker of the pool takes 'de'; offered: en"


async def _ask_patiently(bots: httpx.AsyncClient, body: Any, headers: dict[str, str]) -> httpx.Response:
    """Come again where the function cannot take so many at once, as 503 says."""
    async with asyncio.timeout(DEADLINE_S):
        while (answer := await bots.post("/bots", json=body, headers=headers)).status_code == 503:
            await asyncio.sleep(0.05)
    return answer


async def _write_worker(
    valkey: Any,
    worker_id: str,
    *,
    slots: int,
    streams: int,
    languages: tuple[str, ...] | None = None,
    tasks: tuple[Task, ...] | None = None,
) -> None:
    state = WorkerSlots(slots=slots, streams=streams, url="ws://127.0.0.1:9090", languages=languages, tasks=tasks)
    await valkey.set(worker_key(worker_id), state.model_dump_json(), ex=60)


async def _content(file: Path) -> str:
    async with asyncio.timeout(DEADLINE_S):
        while not (text := await asyncio.to_thread(_read, file)):
            await asyncio.sleep(0.02)
    return text


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""

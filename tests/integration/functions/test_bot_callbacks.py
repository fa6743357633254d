"""What bots tell and are told, under their session's token."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from tests.waiting import until_locked_out

from vexa_events.errors import InvalidMessage
from vexa_events.identity import BotStatus
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_functions.answers import MeetingAnswer
from vexa_functions.bots.app import build
from vexa_functions.bots.lifecycle import enter
from vexa_functions.bots.settings import BotsSettings
from vexa_functions.collector.coverage import coverage
from vexa_functions.store.tables import Store

STANDUP = {"platform": "replay", "native_meeting_id": "standup"}
ADMITTED_AT = "2030-01-01T10:00:00Z"
NO_ORDERS: dict[str, list[Any]] = {"commands": []}
Call = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def claims(bots: httpx.AsyncClient, user: dict[str, str]) -> SessionClaims:
    """A session that was asked for."""
    created = (await bots.post("/bots", json=STANDUP, headers=user)).json()
    listed = (await bots.get("/bots/status", headers=user)).json()["running_bots"][0]
    fields = {"sub": listed["container_name"], "meeting": created["id"], "user": created["user_id"]}
    return SessionClaims.model_validate(fields)


@pytest.fixture
def call(bots: httpx.AsyncClient, claims: SessionClaims, signing_key: str) -> Call:
    """Speak as the session's bot; `lifetime_s`, `age_s` and `token_of` make another token."""

    async def post(
        what: str,
        body: dict[str, Any],
        *,
        lifetime_s: float = 60.0,
        age_s: float = 0.0,
        token_of: str | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        bearer = claims.model_copy(update={"session_uid": token_of or claims.session_uid})
        lifetime = timedelta(seconds=lifetime_s)
        issued_at = datetime.now(UTC) - timedelta(seconds=age_s)
        token = token or issue_session_token(bearer, key=signing_key, now=issued_at, lifetime=lifetime)
        path = f"/internal/sessions/{claims.session_uid}/{what}"
        return await bots.post(path, json=body, headers={"authorization": f"Bearer {token}"})

    return post


async def test_an_order_to_leave_reaches_a_bot_that_was_still_starting(
    bots: httpx.AsyncClient, user: dict[str, str], call: Call
) -> None:
    """The stop was asked for before the first heartbeat; it is in the first answer and in every later one."""
    await bots.delete("/bots/replay/standup", headers=user)

    answers = [(await call("heartbeats", {})).json() for _ in range(2)]

    assert answers == [{"commands": [{"kind": "leave", "reason": "stopped_by_user"}]}] * 2


async def test_a_new_language_reaches_an_active_bot_until_it_is_to_leave(
    bots: httpx.AsyncClient, user: dict[str, str], call: Call
) -> None:
    """Orders are in force, not delivered; leaving comes before everything else."""
    await call("statuses", {"status": "active", "at": ADMITTED_AT})
    before = (await call("heartbeats", {})).json()
    await bots.put("/bots/replay/standup/config", json={"language": "de"}, headers=user)
    during = [(await call("heartbeats", {})).json() for _ in range(2)]
    await bots.delete("/bots/replay/standup", headers=user)
    after = (await call("heartbeats", {})).json()

    assert before == NO_ORDERS
    assert during == [{"commands": [{"kind": "reconfigure", "language": "de", "task": "transcribe"}]}] * 2
    assert after["commands"][0]["kind"] == "leave"


async def test_a_bot_can_be_told_to_detect_the_language_again(
    bots: httpx.AsyncClient, user: dict[str, str], call: Call
) -> None:
    """A null language is an order, an absent one leaves what was ordered."""
    await call("statuses", {"status": "active", "at": ADMITTED_AT})
    told = []
    for wanted in ({"language": "de"}, {"task": "translate"}, {"language": None}):
        assert (await bots.put("/bots/replay/standup/config", json=wanted, headers=user)).status_code == 202
        (order,) = (await call("heartbeats", {})).json()["commands"]
        told.append((order.get("language"), order["task"]))
    nothing = await bots.put("/bots/replay/standup/config", json={"task": None}, headers=user)

    assert told == [("de", "transcribe"), ("de", "translate"), (None, "translate")]
    assert nothing.status_code == 422


async def test_a_token_is_renewed_before_it_expires_and_as_long_as_the_session_runs(call: Call) -> None:
    """The new one counts as the old one did; a session that has ended gets none."""
    young = (await call("heartbeats", {}, lifetime_s=60.0, age_s=20.0)).json()
    old = (await call("heartbeats", {}, lifetime_s=60.0, age_s=40.0)).json()
    expired = await call("heartbeats", {}, lifetime_s=60.0, age_s=70.0)
    again = await call("heartbeats", {}, token=old["token"])
    await call("statuses", {"status": "failed", "at": ADMITTED_AT, "reason": "page_lost"}, token=old["token"])
    ended = (await call("heartbeats", {}, lifetime_s=60.0, age_s=40.0)).json()

    assert "token" not in young
    assert expired.status_code == 401
    assert (again.status_code, again.json()) == (200, NO_ORDERS)
    assert "token" not in ended


async def test_admission_that_a_stop_overtook_still_starts_the_clock(
    bots: httpx.AsyncClient, user: dict[str, str], call: Call, claims: SessionClaims, store: Store
) -> None:
    """The words that were spoken meanwhile need the zero of their clock; the state stays stopping."""
    await bots.delete("/bots/replay/standup", headers=user)

    answer = await call("statuses", {"status": "active", "at": ADMITTED_AT})
    await call("statuses", {"status": "active", "at": "2031-01-01T10:00:00Z"})

    async with store.reading() as tables:
        session = await tables.sessions.by_uid(claims.session_uid)
        meeting = await tables.meetings.by_id(claims.user_id, claims.meeting_id)
    assert answer.status_code == 204
    assert session is not None
    assert meeting is not None
    assert (session.status.value, session.clock_zero_at) == ("stopping", datetime.fromisoformat(ADMITTED_AT))
    assert meeting.start_time == session.clock_zero_at


async def test_a_bot_whose_session_has_ended_is_told_to_leave(call: Call) -> None:
    """It may learn of its end from us; it opens no epoch any more, and reports change nothing."""
    await call("statuses", {"status": "failed", "at": ADMITTED_AT, "reason": "page_lost"})

    beat = await call("heartbeats", {})
    late = await call("statuses", {"status": "active", "at": ADMITTED_AT})
    epoch = await call("epochs", {"stream_uid": "any.0", "kind": "participant", "start_s": 0.0})

    assert beat.json()["commands"][0]["kind"] == "leave"
    assert (late.status_code, epoch.status_code) == (204, 403)


async def test_the_meeting_tells_the_reason_of_its_end_with_the_last_evidence(
    call: Call, claims: SessionClaims, store: Store
) -> None:
    """Evidence of another reason is let go; evidence without a reason belongs to the one that is known."""
    for status, reason, evidence in (
        ("active", "admitted", "a bell rang"),
        ("stopping", "meeting_ended", None),
        ("completed", None, "track-eve.flac: Invalid data"),
    ):
        report = {"status": status, "at": ADMITTED_AT, "reason": reason, "evidence": evidence}
        await call("statuses", {name: value for name, value in report.items() if value is not None})
        async with store.reading() as tables:
            meeting = await tables.meetings.by_id(claims.user_id, claims.meeting_id)
        assert meeting is not None
        assert (meeting.evidence is None) == (evidence is None)

    assert meeting is not None
    assert MeetingAnswer.of(meeting).data == {"reason": "meeting_ended", "evidence": "track-eve.flac: Invalid data"}


async def test_a_token_is_good_for_one_session_and_not_for_ever(call: Call) -> None:
    """Scoped and expiring; what it is refused for is said without repeating it."""
    foreign = await call("heartbeats", {}, token_of="another")
    expired = await call("heartbeats", {}, lifetime_s=-1)

    assert (foreign.status_code, foreign.json()["detail"]) == (403, "the token belongs to another session")
    assert (expired.status_code, expired.json()["detail"]) == (
        401,
        "session token refused: ExpiredSignatureError",
    )


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"BOT_COMMAND": "/nowhere/bot"}, "bot process did not start: /nowhere/bot: No such file or directory"),
        (
            {"BOT_LAUNCHER": "docker", "BOT_IMAGE": "vexa-bot", "DOCKER_HOST": "tcp://127.0.0.1:9"},
            "the Docker engine does not answer at tcp://127.0.0.1:9",
        ),
        (
            {"BOT_LAUNCHER": "kubernetes", "BOT_IMAGE": "vexa-bot"},
            "bots cannot be started: no access to Kubernetes is configured",
        ),
    ],
    ids=["process", "docker", "kubernetes"],
)
async def test_a_launch_that_fails_ends_the_meeting_and_frees_the_slot(
    bots_env: dict[str, str], env: dict[str, str], reason: str, user: dict[str, str], sink: Any
) -> None:
    """503 with a reason a user understands; the meeting tells it, too, and the tick goes on without the launcher."""
    function = build(BotsSettings.from_env(bots_env | env))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(function.app), base_url="http://function") as api:
        answer = await api.post("/bots", json=STANDUP, headers=user)
        listed = (await api.get("/bots/status", headers=user)).json()
        swept = await api.post("/internal/tick")
    await function.aclose()

    (failed,) = sink.of_type("vexa.bot.failed.v1")
    assert (answer.status_code, answer.json()["detail"]) == (503, reason)
    assert (failed.data["reason"], failed.data["evidence"]) == ("launch_failed", reason)
    assert listed == {"running_bots": []}
    assert swept.status_code == 204


REFUSE_TO_NOTE_LAUNCHES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'try again' USING ERRCODE = 'serialization_failure'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE OF launcher_ref ON sessions FOR EACH ROW EXECUTE FUNCTION refuse();
"""


async def test_a_bot_that_was_launched_is_not_given_up_where_that_cannot_be_noted(
    bots_env: dict[str, str], bots: httpx.AsyncClient, user: dict[str, str], postgres_url: str, sink: Any
) -> None:
    """It is on its way into the meeting; a later tick finds out how its launcher calls it, and starts no other."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(REFUSE_TO_NOTE_LAUNCHES)

    answer = await bots.post("/bots", json=STANDUP, headers=user)
    unnoted = (await bots.get("/bots/status", headers=user)).json()["running_bots"]
    await connection.execute("DROP TRIGGER refuse ON sessions; UPDATE sessions SET launch_due_at = now()")
    await connection.close()
    await bots.post("/internal/tick")
    noted = (await bots.get("/bots/status", headers=user)).json()["running_bots"]

    assert (answer.status_code, answer.json()["status"]) == (201, "requested")
    assert [bot["container_id"] for bot in unnoted] == [None]
    assert [bot["container_id"] is not None for bot in noted] == [True]
    assert sink.of_type("vexa.bot.failed.v1") == []
    assert count_launched(bots_env) == 1


async def test_audio_of_a_stream_that_no_epoch_was_opened_for_is_missing_and_not_forgotten(
    bots: httpx.AsyncClient, user: dict[str, str], call: Call, claims: SessionClaims, store: Store
) -> None:
    """A bot may hear somebody, tell of it and be gone before it gets to open the stream's first epoch."""
    uid = f"{claims.session_uid}.1"
    told = {"stream_uid": uid, "captured_until_s": 4.0, "opening": {"kind": "participant", "start_s": 1.5}}
    await call("statuses", {"status": "active", "at": ADMITTED_AT})

    await call("heartbeats", {"streams": [told]})
    await call("heartbeats", {"streams": [told | {"captured_until_s": 5.0, "opening": None}]})

    async with store.transaction() as tables:
        session = await tables.sessions.lock(claims.session_uid)
        assert session is not None
        await enter(tables, session, BotStatus.FAILED, at=datetime.now(UTC), reason="bot_lost")
        await tables.sessions.set_finalized(claims.session_uid)
        streams = await tables.transcripts.streams(claims.meeting_id)
        ledger = coverage(streams, await tables.transcripts.spans(claims.meeting_id))
    gaps = [(gap["stream_uid"], gap["start"], gap["end"], gap["reason"]) for gap in ledger["missing"]]
    assert gaps == [(uid, 1.5, 5.0, "bot_lost")]


def count_launched(bots_env: dict[str, str]) -> int:
    return len(list(Path(bots_env["BOT_RUN_DIR"]).glob("*.pid")))


async def test_no_epoch_is_opened_in_a_session_that_ends_right_then(
    call: Call, claims: SessionClaims, store: Store, postgres_url: str
) -> None:
    """What follows a session's end, such as its ledger, counts on its streams being all there are."""
    async with store.transaction() as tables:
        session = await tables.sessions.lock(claims.session_uid)
        assert session is not None
        await enter(tables, session, BotStatus.FAILED, at=datetime.now(UTC), reason="bot_lost")
        wanted = {"stream_uid": f"{claims.session_uid}.0", "kind": "participant", "start_s": 0.0}
        opening = asyncio.ensure_future(call("epochs", wanted))
        await until_locked_out(postgres_url, opening)
    answer = await opening

    async with store.reading() as tables:
        streams = await tables.streams.of_session(claims.session_uid)
    assert (answer.status_code, streams) == (403, [])


@pytest.mark.parametrize(
    ("env", "fault"),
    [
        ({"BOT_RUN_DIR": ""}, "BOT_RUN_DIR must be set where BOT_LAUNCHER is process"),
        ({"BOT_LAUNCHER": "docker"}, "BOT_IMAGE must be set where BOT_LAUNCHER is docker"),
        ({"BOT_LAUNCHER": "kubernetes"}, "BOT_IMAGE must be set where BOT_LAUNCHER is kubernetes"),
        ({"BOT_LAUNCHER": "podman"}, "BOT_LAUNCHER"),
    ],
    ids=str,
)
def test_a_launcher_without_what_it_needs_is_refused_at_the_start(
    bots_env: dict[str, str], env: dict[str, str], fault: str
) -> None:
    """Not at the first meeting."""
    with pytest.raises(InvalidMessage, match=fault):
        BotsSettings.from_env(bots_env | env)

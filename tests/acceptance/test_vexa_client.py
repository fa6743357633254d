"""The published client, unchanged, against a running stack: everything that it can do."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from vexa_client import VexaClient, VexaClientError

T = TypeVar("T")
MEETING = ("replay", "design-review")
WORDS_WITHIN_S = 180.0
ENDED_WITHIN_S = 180.0


@pytest.fixture(scope="module")
def administrator(stack: Any) -> Iterator[VexaClient]:
    """The client with the administrator's key."""
    with client_of(stack, admin_key=stack.env["VEXA_ADMIN_API_KEY"]) as client:
        yield client


@pytest.fixture(scope="module")
def ann(stack: Any, administrator: VexaClient) -> Iterator[VexaClient]:
    """A client of a user who may have one bot."""
    with user_of(stack, administrator, "ann+client@example.org") as client:
        yield client


@pytest.fixture(scope="module")
def bob(stack: Any, administrator: VexaClient) -> Iterator[VexaClient]:
    """A client of another user."""
    with user_of(stack, administrator, "bob+client@example.org") as client:
        yield client


@pytest.mark.slow
def test_an_administrator_finds_creates_and_changes_users(administrator: VexaClient) -> None:
    """An e-mail is a user's once; what is not named stays; 0 bots are a number that somebody chose."""
    created = administrator.create_user("carol+x@example.org", name="Carol", max_concurrent_bots=0)
    again = administrator.create_user("Carol+X@example.org")
    found = administrator.get_user_by_email("carol+x@example.org")
    changed = administrator.update_user(created["id"], max_concurrent_bots=3)

    assert created == again == found
    assert (created["max_concurrent_bots"], changed["max_concurrent_bots"], changed["name"]) == (0, 3, "Carol")
    listed = administrator.list_users(skip=0, limit=100)
    assert [user for user in listed if user["id"] == created["id"]] == [changed]
    assert administrator.list_users(skip=len(listed)) == []


@pytest.mark.slow
def test_an_administrator_makes_tokens(administrator: VexaClient) -> None:
    """The key is shown once, and makes every call of its user."""
    user_id = administrator.create_user("dave@example.org")["id"]

    token = administrator.create_token(user_id)

    assert token["token"].startswith("vxa_")
    assert token["user_id"] == user_id
    assert {"id", "created_at"} <= token.keys()


@pytest.mark.slow
def test_a_meeting_from_request_to_deletion(ann: VexaClient) -> None:
    """Bot, words, configuration, notes, stop, transcript, deletion: the whole conversation."""
    meeting = ann.request_bot(*MEETING, bot_name="Scribe", language="en", task="transcribe")
    with refused(403, r"maximum concurrent bot limit \(1\)"):
        ann.request_bot("replay", "standup")
    with refused(409, str(meeting["id"])):
        ann.request_bot(*MEETING)
    running = ann.get_running_bots_status()
    with refused(409, "stop its bot first"):
        ann.delete_meeting(*MEETING)
    live = words_of(ann, *MEETING)
    configured = ann.update_bot_config(*MEETING, language="en", task="transcribe")
    noted = ann.update_meeting_data(*MEETING, name="Review", notes="On time")
    stopped = [ann.stop_bot(*MEETING), ann.stop_bot(*MEETING)]
    ended = wait(lambda: ann.get_transcript(*MEETING), lambda read: bool(read["finalized"]), ENDED_WITHIN_S)
    listed = ann.get_meetings()[0]
    by_row = ann.get_transcript(*MEETING, meeting_id=meeting["id"])
    deleted = [ann.delete_meeting(*MEETING), ann.delete_meeting(*MEETING)]

    assert meeting["status"] in {"requested", "joining"}
    assert [(bot["platform"], bot["native_meeting_id"]) for bot in running] == [MEETING]
    assert running[0]["normalized_status"] in {"Requested", "Starting", "Up"}
    assert live["segments"][0]["text"]
    assert all("message" in answer for answer in (configured, *stopped, *deleted))
    assert ann.get_meeting_metadata(noted)["name"] == "Review"
    assert (ended["id"], ended["status"], ended["coverage"]["missing"]) == (meeting["id"], "completed", [])
    assert by_row == ended
    assert (listed["id"], listed["data"]["notes"]) == (meeting["id"], "On time")
    assert ann.get_meeting_participants(listed) == sorted({segment["speaker"] for segment in ended["segments"]})
    assert ann.get_meeting_languages(listed) == ["en"]
    assert ann.get_meeting_by_id(*MEETING) is None
    with refused(404, "no meeting"):
        ann.get_transcript(*MEETING)


@pytest.mark.slow
def test_two_tenants_in_one_meeting_never_meet(ann: VexaClient, bob: VexaClient) -> None:
    """Each has a meeting, a bot and words of their own; stopping one leaves the other."""
    platform, name = "replay", "long-pause"
    mine, theirs = ann.request_bot(platform, name), bob.request_bot(platform, name)
    reads = [words_of(reader, platform, name) for reader in (ann, bob)]
    ann.stop_bot(platform, name)
    wait(ann.get_running_bots_status, lambda bots: not bots, ENDED_WITHIN_S)

    assert mine["id"] != theirs["id"]
    assert {mine["user_id"], theirs["user_id"]} == {ann.user_id, bob.user_id}
    sessions = [{segment["session_uid"] for segment in read["segments"]} for read in reads]
    assert sessions[0].isdisjoint(sessions[1])
    assert [bot["native_meeting_id"] for bot in bob.get_running_bots_status()] == [name]
    with refused(404, "no meeting"):
        bob.get_transcript(platform, name, meeting_id=mine["id"])
    bob.stop_bot(platform, name)
    wait(bob.get_running_bots_status, lambda bots: not bots, ENDED_WITHIN_S)


@pytest.mark.slow
def test_a_webhook_is_set(ann: VexaClient) -> None:
    """The answer is the user."""
    user = ann.set_webhook_url("http://127.0.0.1:9/hook")

    assert (user["id"], user["email"]) == (ann.user_id, "ann+client@example.org")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "status", "detail"),
    [
        (lambda client: client.request_bot("replay", "../etc"), 422, "native_meeting_id"),
        (lambda client: client.request_bot("replay", "standup", language="klingon"), 422, "language"),
        (lambda client: client.request_bot_from_url("https://meet.google.com/abc-defg-hij"), 422, "google_meet"),
        (lambda client: client.request_bot_from_url("https://teams.live.com/meet/9398850880426?p=RBZCW"), 422, "teams"),
        (lambda client: client.stop_bot("replay", "never"), 404, "no meeting"),
        (lambda client: client.update_bot_config("replay", "never", language="en"), 404, "no meeting"),
        (lambda client: client.update_meeting_data("replay", "never", name="x"), 404, "no meeting"),
        (lambda client: client.delete_meeting("replay", "never"), 404, "no meeting"),
        (lambda client: client.get_transcript("replay", "never"), 404, "no meeting"),
        (lambda client: client.set_webhook_url("ftp://example.org"), 422, "webhook_url"),
    ],
)
def test_a_refusal_reaches_the_caller_with_its_reason(
    ann: VexaClient, call: Callable[[VexaClient], object], status: int, detail: str
) -> None:
    """The client shows the detail of the answer."""
    with refused(status, detail):
        call(ann)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["vxa_unknown", "x"])
def test_a_wrong_key_is_refused(stack: Any, key: str) -> None:
    """403 for users and administrators alike."""
    with client_of(stack, api_key=key, admin_key=key) as stranger:
        with refused(403, "X-API-Key"):
            stranger.get_meetings()
        with refused(403, "X-Admin-API-Key"):
            stranger.list_users()


@contextmanager
def client_of(stack: Any, **keys: str) -> Iterator[VexaClient]:
    """Lend a client, and close the connections that it has no method to close."""
    client = VexaClient(base_url=stack.env["VEXA_API_URL"], **keys)
    try:
        yield client
    finally:
        client._session.close()


@contextmanager
def user_of(stack: Any, administrator: VexaClient, email: str) -> Iterator[VexaClient]:
    """Lend the client of a new user."""
    with client_of(stack, admin_key=stack.env["VEXA_ADMIN_API_KEY"]) as client:
        client.create_user_and_set_id(email)
        client.set_api_key(client.create_token()["token"])
        yield client


@contextmanager
def refused(status: int, detail: str) -> Iterator[None]:
    """Expect an error of the client that tells the status and the detail."""
    with pytest.raises(VexaClientError, match=rf"^HTTP Error {status} .*{detail}") as caught:
        yield
    assert not re.search(r"vxa_\w{8}", str(caught.value))


def words_of(client: VexaClient, platform: str, native_meeting_id: str) -> dict[str, Any]:
    """Read the transcript once it has words."""
    read: dict[str, Any] = wait(
        lambda: client.get_transcript(platform, native_meeting_id), lambda read: bool(read["segments"]), WORDS_WITHIN_S
    )
    return read


def wait(read: Callable[[], T], until: Callable[[T], bool], within_s: float) -> T:
    """Read until it is as wanted."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        last = read()
        if until(last):
            return last
        time.sleep(0.3)
    pytest.fail(f"not as wanted after {within_s} s: {last}")

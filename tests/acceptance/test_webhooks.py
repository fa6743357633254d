"""A user's own server is told of a meeting, from the bot through the Broker to the signed request."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SECRET = "a secret that both sides know"
TOLD_WITHIN_S = 90.0


@dataclass
class Receiver:
    """What a user's server was sent."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in list(self.posts)]

    def wait_for(self, event_type: str) -> dict[str, Any]:
        """Return the notice of a kind once it has come."""
        deadline = time.monotonic() + TOLD_WITHIN_S
        while time.monotonic() < deadline:
            for notice in self.told:
                if notice["event_type"] == event_type:
                    return notice
            time.sleep(0.2)
        pytest.fail(f"{event_type} was not told; told was {[notice['event_type'] for notice in self.told]}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server of a user, on this machine."""
    remembered = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            remembered.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    remembered.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield remembered
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_user_is_told_of_a_meeting_from_start_to_transcript(reader: Any, receiver: Receiver) -> None:
    """Every state once, the end by its name, and the finished transcript, each signed."""
    answer = reader.api.put("/user/webhook", json={"webhook_url": receiver.url, "webhook_secret": SECRET})
    assert answer.status_code == 200, answer.text
    meeting_id = reader.send_bot("long-pause")
    reader.wait("long-pause", lambda read: read["status"] == "active", timeout_s=60)

    reader.api.delete("/bots/replay/long-pause")
    ready = receiver.wait_for("transcription.ready")
    receiver.wait_for("meeting.completed")

    deliveries = reader.api.get("/user/webhooks/deliveries").json()["deliveries"]
    reader.api.delete("/user/webhook")
    states = [
        told["data"]["meeting"]["status"] for told in receiver.told if told["event_type"] == "meeting.status_change"
    ]
    ids = [told["event_id"] for told in receiver.told]
    assert {"joining", "active", "completed"} <= set(states)
    assert len(ids) == len(set(ids))
    assert ready["data"]["meeting"]["id"] == meeting_id
    assert {delivery["event_id"] for delivery in deliveries} >= set(ids)
    for headers, body in receiver.posts:
        expected = hmac.new(SECRET.encode(), headers["x-webhook-timestamp"].encode() + b"." + body, hashlib.sha256)
        assert headers["x-webhook-signature"] == f"sha256={expected.hexdigest()}"

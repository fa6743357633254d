"""What the whole stack has printed while the acceptance tests used it."""

import re
from typing import Any

BANNER = re.compile(r"^  (API|admin) key ")
"""`up` tells its keys to whoever starts it; no other line may."""
KEYS = re.compile(r"vxa_|eyJ[A-Za-z0-9_-]{16,}|api_key=|Bearer ")
SOUND = re.compile(r"[A-Za-z0-9+/=]{200,}")
LEAST_WORDS = 3
"""Shorter texts may be anybody's."""


def test_no_key_word_or_sound_is_in_the_logs(stack: Any, reader: Any) -> None:
    """Of every process, the bots included: whatever the tests before this one did, or a meeting of its own."""
    texts = spoken(reader)
    if not texts:
        reader.send_bot("long-pause")
        reader.wait_until_finalized("long-pause", timeout_s=180)
        texts = spoken(reader)

    printed = [line for line in stack.log.read_text().splitlines() if not BANNER.match(line)]

    secrets = {value for name, value in stack.env.items() if name.endswith("_KEY")}
    kept = "\n".join(printed)
    assert any("status entered" in line for line in printed)
    assert len(secrets) == 2
    assert len(texts) > 2
    assert [line[:80] for line in printed if KEYS.search(line) or SOUND.search(line)] == []
    assert [secret[:8] for secret in secrets if secret in kept] == []
    assert [text for text in texts if text in kept] == []


def spoken(reader: Any) -> list[str]:
    """Every text of some length that was said in the user's meetings."""
    meetings = reader.api.get("/meetings").json()["meetings"]
    read = [reader.api.get(f"/meetings/{meeting['id']}").json() for meeting in meetings]
    texts = [str(segment["text"]).strip() for one in read for segment in one["segments"]]
    return [text for text in texts if len(text.split()) >= LEAST_WORDS]

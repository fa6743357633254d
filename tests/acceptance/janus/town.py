"""The private network in which everybody meets, and what a user of the API does there."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.waiting import patiently


@dataclass
class Town:
    """The private network with all that runs in it, and a user of the API."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    door: httpx.Client
    sessions: dict[int, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def send_bot(self, room: int, **wanted: Any) -> None:
        url = f"http://localhost:8000/videoroomtest.html?room={room}"
        answer = self.door.post("/api/bots", json={"meeting_url": url, **wanted})
        assert answer.status_code == 201, answer.text
        self.sessions[room] = answer.json()["bot_container_id"].removeprefix("process:")

    def stop_bot(self, room: int) -> None:
        assert self.door.delete(f"/api/bots/janus/{room}@localhost:8000").status_code == 202

    def janus(self, request: str, room: int, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.door.post("/janus", json={"request": request, "room": room, **more}).json()
        assert "error" not in answer, answer
        return answer

    def create_room(self, room: int, **more: Any) -> None:
        self.janus("create", room, publishers=6, notify_joining=True, audiolevel_ext=True, **more)

    def enter(self, room: int, name: str, wav: Path) -> None:
        wanted = {"room": room, "display": name, "wav": str(wav)}
        assert self.door.put(f"/speakers/{room}-{name}", json=wanted).status_code == 204

    def say(self, room: int, name: str, wav: Path) -> None:
        """Let somebody say something from now on, instead of what their microphone hears."""
        assert self.door.post(f"/speakers/{room}-{name}", json={"wav": str(wav)}).status_code == 204

    def moderate(self, room: int, name: str, *, mute: bool) -> None:
        """Mute somebody's microphone as a moderator does, or let them speak again."""
        present = self.janus("listparticipants", room)["participants"]
        (id_,) = (each["id"] for each in present if each["display"] == name)
        self.janus("moderate", room, id=id_, mid="0", mute=mute)

    def leave(self, room: int, name: str) -> None:
        assert self.door.delete(f"/speakers/{room}-{name}").status_code == 204

    def transcript(self, room: int) -> dict[str, Any]:
        answer = patiently(lambda: self.door.get(f"/api/transcripts/janus/{room}@localhost:8000"))
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    def wait(self, room: int, until: Callable[[dict[str, Any]], object], *, timeout_s: float = 180) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            read = self.transcript(room)
            if until(read):
                return read
            time.sleep(0.3)
        pytest.fail(f"room {room} is {read['status']} after {timeout_s} s: {read['coverage']}\n{self.log[-4_000:]}")

    def wait_for_status(self, room: int, status: str) -> None:
        self.wait(room, lambda read: read["status"] == status)

    def wait_for_words(self, room: int, speaker: str, count: int) -> None:
        self.wait(room, lambda read: len(words_of(read, speaker).split()) >= count)

    def path(self, room: int) -> list[str]:
        """The states that a bot went through, from its own log."""
        pattern = rf"status entered .*?session_uid={self.sessions[room]} .*?status=(\w+)"
        return re.findall(pattern, self.log)

    def processes(self, *words: str) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def bot(self, room: int) -> psutil.Process:
        uid = self.sessions[room]
        (bot,) = (each for each in self.processes("-m vexa_bot") if uid in each.environ()["VEXA_BOT_ORDER"])
        return bot


def words_of(read: Mapping[str, Any], speaker: str) -> str:
    return " ".join(segment["text"] for segment in read["segments"] if segment["speaker"] == speaker)

"""A stack that is stopped, or killed, and started again."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
def test_an_earlier_transcript_is_still_there(
    stack_control: Any, recordings: Path, free_port_offset: Callable[[], int], how: signal.Signals
) -> None:
    """The same key reads the same words after the stack was down."""
    offset = free_port_offset()
    first = stack_control.start_stack(offset, recordings)
    try:
        with _client(first) as api:
            api.post("/bots", json={"platform": "replay", "native_meeting_id": "long-pause"})
            before = stack_control.Reader(api=api).wait(
                "long-pause", lambda read: len(read["segments"]) >= 1, timeout_s=90
            )
    finally:
        os.kill(first.pid, how)
        first.process.wait(timeout=120)

    second = stack_control.start_stack(offset, recordings)
    try:
        with _client(second) as api:
            after = stack_control.Reader(api=api).transcript("long-pause")
    finally:
        stack_control.stop_stack(second)
        shutil.rmtree(stack_control.state_dir(offset))

    assert first.env["VEXA_API_KEY"] == second.env["VEXA_API_KEY"]
    assert [segment["text"] for segment in before["segments"]] == [
        segment["text"] for segment in after["segments"][: len(before["segments"])]
    ]


def _client(stack: Any) -> httpx.Client:
    headers = {"x-api-key": stack.env["VEXA_API_KEY"]}
    return httpx.Client(base_url=stack.env["VEXA_API_URL"], headers=headers, timeout=30)

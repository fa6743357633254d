"""A meeting while the functions run under functions-framework's own command."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import DEADLINE_S

from vexa_local.chaos.clocks import Clocks
from vexa_local.chaos.recordings import read_recordings, shortened
from vexa_local.chaos.stand import describe_stack, lay_out, standing
from vexa_local.chaos.user import User, new_key

RECORDING = "standup"
LENGTH_S = 8.0


@pytest.mark.slow
async def test_a_meeting_is_stored_whole_under_the_frameworks_command(
    tmp_path: Path, meetings_dir: Path, free_port_offset: Callable[[], int]
) -> None:
    """HTTP and events reach every function, and each word and second is there."""
    described = describe_stack(tmp_path, offset=free_port_offset(), is_spelt=True)
    stack = replace(described, under_framework=True, clocks=Clocks(tmp_path, None))
    (recording,) = [each for each in read_recordings(meetings_dir) if each.folder.name == RECORDING]
    (meeting,) = lay_out(stack, [shortened(recording, LENGTH_S)], count=1)
    async with standing(stack, [meeting]) as stand:
        commands = [stand.victims.parts[name].spec.command[0] for name in ("admin", "bots", "collector", "webhooks")]
        key = await new_key(stack.direct.gateway, admin_key=stack.secrets.admin_api_key, email="ann@example.org")
        async with httpx.AsyncClient(
            base_url=stack.direct.gateway, headers={"X-API-Key": key}, timeout=DEADLINE_S
        ) as client:
            user = User(client)
            attendance = await user.send_bot(meeting)
            async with asyncio.timeout(DEADLINE_S):
                while not (transcript := await user.transcript(attendance))["finalized"]:
                    await asyncio.sleep(0.2)

    assert {Path(command).name for command in commands} == {"functions-framework"}
    assert transcript["coverage"]["missing_s"] == 0.0
    stored = {speaker: words_of(transcript, speaker) for speaker in meeting.recording.words_by_speaker}
    assert stored == {
        speaker: [word.text for word in words] for speaker, words in meeting.recording.words_by_speaker.items()
    }


def words_of(transcript: dict[str, Any], speaker: str) -> list[str]:
    return [word for part in transcript["segments"] if part["speaker"] == speaker for word in part["text"].split()]

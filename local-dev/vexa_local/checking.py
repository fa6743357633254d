"""`vexa-local check MEETING`: reads a meeting from a running stack and tells whether its ledger adds up."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from vexa_functions.store.database import Database
from vexa_functions.store.transcripts import StoredSpan, Transcripts
from vexa_local.check import Finding, check_transcript, nothing_heard
from vexa_local.errors import StartFailed
from vexa_local.parts import Output
from vexa_local.stack import Stack
from vexa_local.state import read_env_file

DEFAULT_PLATFORM = "replay"
_TIMEOUT_S = 20.0


async def check_stored_meeting(stack: Stack, meeting: str, output: Output) -> list[Finding]:
    """Check the newest meeting called `meeting`, or `platform/meeting`; say what was found."""
    env = read_env_file(stack.state.env_file)
    if not env or not stack.state.is_running():
        raise StartFailed("no stack is running here; start one with ./local-dev/up")
    transcript = await _read_transcript(env, meeting)
    spans = await _read_spans(env["DATABASE_URL"], int(transcript["id"]))
    findings = check_transcript(transcript, spans)
    for line in summary(transcript):
        output.note(line)
    for finding in findings:
        output.note(str(finding))
    output.note(_verdict(transcript, findings))
    return findings


def summary(transcript: Mapping[str, Any]) -> Sequence[str]:
    """Tell the ledger of each stream in a line."""
    return [
        f"{stream['speaker'] or stream['stream_uid']}: {stream['captured_s']:.3f} s captured, "
        f"{stream['speech_s']:.3f} speech, {stream['silence_s']:.3f} silence, "
        f"{stream['muted_s']:.3f} muted, {stream['missing_s']:.3f} missing, {stream['pending_s']:.3f} pending"
        for stream in transcript["coverage"]["streams"]
    ]


def _verdict(transcript: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    if findings:
        return f"{len(findings)} findings" if len(findings) > 1 else "1 finding"
    return nothing_heard(transcript) or "every second is accounted for, once"


async def _read_transcript(env: Mapping[str, str], meeting: str) -> dict[str, Any]:
    name = meeting if "/" in meeting else f"{DEFAULT_PLATFORM}/{meeting}"
    headers = {"X-API-Key": env["VEXA_API_KEY"]}
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, headers=headers, trust_env=False) as client:
        try:
            answer = await client.get(f"{env['VEXA_API_URL']}/transcripts/{name}")
        except httpx.HTTPError as exc:
            raise StartFailed(f"the gateway does not answer: {type(exc).__name__}") from exc
    if not answer.is_success:
        raise StartFailed(f"{name}: the gateway answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body


async def _read_spans(database_url: str, meeting_id: int) -> list[StoredSpan]:
    async with aclosing(Database(database_url, max_connections=1)) as database, database.connection() as connection:
        return await Transcripts(connection).spans(meeting_id)

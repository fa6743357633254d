"""What a bot tells the bots function."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from vexa_events.callbacks import EpochOpened, Gap, Heartbeat, HeartbeatAnswer, OpenEpoch, StatusReport

WORD = {"text": "so", "start_s": 1.0, "end_s": 1.2}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (OpenEpoch, {"stream_uid": "s.1", "kind": "mixed", "start_s": 0}),
        (EpochOpened, {"epoch": 1, "resume_from_s": 0, "last_words": [WORD] * 200}),
        (Gap, {"from_s": 1.0, "until_s": 1.001, "reason": "capture_silent"}),
        (Heartbeat, {"streams": [{"stream_uid": "s.1", "captured_until_s": 4.2}]}),
        (HeartbeatAnswer, {"commands": [{"kind": "reconfigure", "language": None, "task": "translate"}]}),
        (StatusReport, {"status": "active", "at": "2026-03-17T09:00:00Z"}),
    ],
)
def test_a_legal_callback_is_read(model: type[BaseModel], fields: dict[str, Any]) -> None:
    """What it says survives the wire."""
    message = model.model_validate(fields)

    assert model.model_validate_json(message.model_dump_json()) == message


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (EpochOpened, {"epoch": 0, "resume_from_s": 0}),
        (EpochOpened, {"epoch": 1, "resume_from_s": 0, "last_words": [WORD] * 201}),
        (Gap, {"from_s": 5.0, "until_s": 5.0, "reason": "page_lost"}),
        (Gap, {"from_s": 10.0, "until_s": 5.0, "reason": "page_lost"}),
        (Gap, {"from_s": 1.0, "until_s": 5.0, "reason": "boredom"}),
        (Heartbeat, {"streams": [{"stream_uid": "s.1", "captured_until_s": 4.2}] * 257}),
        (HeartbeatAnswer, {"commands": [{"kind": "leave"}] * 17}),
        (HeartbeatAnswer, {"commands": [{"kind": "dance"}]}),
        (StatusReport, {"status": "active", "at": "2026-03-17T09:00:00"}),
        (StatusReport, {"status": "active", "at": "2026-03-17T09:00:00Z", "evidence": "x" * 4_001}),
    ],
)
def test_an_illegal_callback_is_refused(model: type[BaseModel], fields: dict[str, Any]) -> None:
    """Nothing unbounded, backwards or without a time zone gets in."""
    with pytest.raises(ValidationError):
        model.model_validate(fields)

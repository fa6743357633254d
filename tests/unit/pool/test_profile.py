"""What to set on a machine, from what was measured there."""

from collections.abc import Sequence

import ctranslate2
import numpy as np
import pytest

from vexa_events.errors import Unavailable
from vexa_events.identity import Task
from vexa_pool.engine.gpu_memory import MOST_WINDOWS, UNKNOWN_WINDOWS, free_mib, windows_at_once
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.loadtest.cli import main
from vexa_pool.loadtest.profile import Advice, Throughput, best, check_device, measure
from vexa_pool.loadtest.recordings import Recording
from vexa_pool.streaming.window import Transcription

SPEECH = (Recording(samples=np.zeros(20 * 16_000, np.float32), words=(), line_ends_s=(20.0,)),)
NO_CUDA = ctranslate2.get_cuda_device_count() == 0


class TimedModel:
    """Takes a stated time for a group, on a clock of its own, and holds so many windows at most."""

    decode_batch = 1

    def __init__(self, *, fixed_s: float, each_s: float, most: int = 1_000) -> None:
        self.now_s = 0.0
        self._fixed_s = fixed_s
        self._each_s = each_s
        self._most = most

    def check(self, language: str | None, task: Task) -> None:
        """Do anything."""

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        """Let the time pass."""
        if len(requests) > self._most:
            raise RuntimeError("CUDA failed with error out of memory")
        self.now_s += self._fixed_s + self._each_s * len(requests)
        return [Transcription(words=(), language="en") for _ in requests]


def measured(model: TimedModel) -> list[Throughput]:
    return measure(model, SPEECH, precision="float16", clock=lambda: model.now_s)


def test_larger_groups_are_tried_until_one_takes_too_long() -> None:
    """And the one that did is not advised."""
    found = measured(TimedModel(fixed_s=0.1, each_s=0.05))

    assert [one.batch for one in found] == [1, 2, 4, 8, 16]
    assert found[-1].group_s == pytest.approx(0.9)
    assert best(found).batch == 8


def test_the_smallest_group_near_the_best_throughput_is_advised() -> None:
    """Where more windows give nothing more, fewer answer sooner."""
    assert best(measured(TimedModel(fixed_s=0.0, each_s=0.001))).batch == 1


def test_a_full_memory_ends_the_search() -> None:
    """What did not fit is no result; nothing at all is said plainly."""
    assert [one.batch for one in measured(TimedModel(fixed_s=0.01, each_s=0.0, most=5))] == [1, 2, 4]
    with pytest.raises(Unavailable, match="not decode a single window"):
        best(measured(TimedModel(fixed_s=0.01, each_s=0.0, most=0)))


def test_the_advice_is_what_the_worker_reads() -> None:
    """With slots for nine tenths of what was carried."""
    setting = Throughput(precision="int8_float16", batch=24, windows_per_s=100.0, group_s=0.2)

    lines = Advice(device="cuda", throughput=setting, streams=200).env("large-v3").splitlines()

    assert lines == [
        "WHISPER_MODEL=large-v3",
        "WHISPER_DEVICE=cuda",
        "WHISPER_COMPUTE_TYPE=int8_float16",
        "POOL_DECODE_BATCH=24",
        "POOL_SLOTS=180",
    ]


@pytest.mark.skipif(not NO_CUDA, reason="there is a GPU here")
def test_a_machine_without_cuda_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    """By a sentence and exit status 2, before anything is loaded."""
    with pytest.raises(Unavailable, match="no CUDA device"):
        check_device("cuda")

    assert main(["--profile", "gpu"]) == 2
    assert "no CUDA device" in capsys.readouterr().out


@pytest.mark.parametrize(("mib", "windows"), [(None, UNKNOWN_WINDOWS), (500, 4), (13_000, 26), (78_000, MOST_WINDOWS)])
def test_windows_at_once_follow_the_free_memory(mib: int | None, windows: int) -> None:
    """Within bounds, and a middling number where nobody tells."""
    assert windows_at_once(mib) == windows


@pytest.mark.skipif(not NO_CUDA, reason="there is a GPU here")
def test_memory_that_nobody_tells_is_unknown() -> None:
    """A machine without the driver's tool is no fault."""
    assert free_mib() is None

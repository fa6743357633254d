"""Silero's voice detector over one stream, keeping its state between chunks."""

from pathlib import Path

import numpy as np
import onnxruntime
from faster_whisper.utils import get_assets_path

from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.clock import FRAME_SAMPLES

MODEL_FILE = "silero_vad_v6.onnx"
CONTEXT_SAMPLES = 64
STATE_SHAPE = (1, 1, 128)


def load_voice_model() -> onnxruntime.InferenceSession:
    """Load the network that every stream's detector shares; it keeps no state of its own."""
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    path = Path(get_assets_path()) / MODEL_FILE
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"], sess_options=options)


class SileroDetector:
    """Gives one probability per frame of a stream; blocking, about 1.6 ms per second of audio."""

    def __init__(self, model: onnxruntime.InferenceSession) -> None:
        self._model = model
        self.reset()

    def reset(self) -> None:
        """Forget everything heard, as after a hole in the audio."""
        self._rest: Samples = np.zeros(0, np.float32)
        self._context: Samples = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._hidden = np.zeros(STATE_SHAPE, np.float32)
        self._cell = np.zeros(STATE_SHAPE, np.float32)

    def probabilities(self, samples: Samples) -> list[float]:
        """Judge every frame that these samples complete."""
        audio = np.concatenate([self._rest, samples])
        count = audio.size // FRAME_SAMPLES
        self._rest = audio[count * FRAME_SAMPLES :]
        if not count:
            return []
        return self._judge(audio[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES))

    def _judge(self, frames: Samples) -> list[float]:
        tails = np.vstack([self._context[None], frames[:-1, -CONTEXT_SAMPLES:]])
        self._context = frames[-1, -CONTEXT_SAMPLES:].copy()
        inputs = {"input": np.hstack([tails, frames]), "h": self._hidden, "c": self._cell}
        output, self._hidden, self._cell = self._model.run(None, inputs)
        return [float(probability) for probability in np.asarray(output).reshape(-1)]

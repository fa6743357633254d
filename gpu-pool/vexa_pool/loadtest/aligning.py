"""When the words of a known sentence end, according to a model that hears it offline."""

from itertools import pairwise
from pathlib import Path

from faster_whisper import WhisperModel
from rapidfuzz.distance import Levenshtein

from vexa_pool.loadtest.texts import tokens
from vexa_pool.streaming.audio import Samples


class Aligner:
    """Loads its model on first use: as a rule everything is remembered."""

    def __init__(self, model: Path) -> None:
        self._path = model
        self._model: WhisperModel | None = None

    def word_ends(self, samples: Samples, sentence: str) -> list[tuple[str, float]]:
        """Return each word of the sentence with the end of its sound, in seconds from the first sample."""
        spoken = tokens(sentence)
        heard = self._heard(samples)
        end_by_index: dict[int, float] = {}
        blocks = Levenshtein.opcodes(spoken, [text for text, _ in heard])
        for block in blocks:
            if block.tag == "equal":
                for offset in range(block.src_end - block.src_start):
                    end_by_index[block.src_start + offset] = heard[block.dest_start + offset][1]
        length_s = samples.size / 16_000
        return list(zip(spoken, _filled(end_by_index, len(spoken), length_s), strict=True))

    def _heard(self, samples: Samples) -> list[tuple[str, float]]:
        if self._model is None:
            self._model = WhisperModel(str(self._path), device="cpu", compute_type="int8")
        segments, _ = self._model.transcribe(samples, language="en", beam_size=5, word_timestamps=True)
        words = [word for segment in segments for word in segment.words or ()]
        return [(token, float(word.end)) for word in words for token in tokens(word.word)]


def _filled(end_by_index: dict[int, float], count: int, length_s: float) -> list[float]:
    """Share out the time between words that were found to those between them that were not."""
    known = [(-1, 0.0), *sorted(end_by_index.items()), (count, length_s)]
    ends_s: list[float] = []
    for (first, first_s), (last, last_s) in pairwise(known):
        step_s = (last_s - first_s) / (last - first)
        ends_s += [first_s + step_s * n for n in range(1, last - first)]
        if last < count:
            ends_s.append(last_s)
    return ends_s

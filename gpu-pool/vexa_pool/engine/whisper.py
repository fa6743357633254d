"""Whisper through CTranslate2's low-level calls: encode, generate, align."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.utils import download_model
from numpy.typing import NDArray
from tokenizers import Tokenizer as TokenTable

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_events.stream import SAMPLE_RATE_HZ
from vexa_pool.engine.gpu_memory import free_mib, windows_at_once
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.tokens import MOST_TOKENS_PER_S, aligned_words, is_told, read_pieces, spread_words
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.guards import is_looping, is_told_twice
from vexa_pool.streaming.window import (
    LONGEST_S,
    MARGIN_S,
    Purpose,
    Transcription,
    Window,
    attended_length_s,
    encoder_length_s,
)
from vexa_pool.streaming.words import SpokenWord

ENGLISH = "en"
THREADS = 2
"""Windows decoded at the same time; a call runs on one core, which scales better than splitting each."""
CPU_DECODE_BATCH = 8
FRAMES_PER_S = 100
ENCODER_STEPS_PER_S = 50
LEAD_S = 0.2
"""Silence put before every window: whatever the offset of the speech in it, the model then hears the same."""
LIKELY_TOKENS_PER_S = 5
SPARE_TOKENS = 5
"""A decoder that starts over goes on to its limit, and the whole group with it; so the first limit is close."""
MOST_PROMPT_TOKENS = 223
"""Half of what the decoder can look back on, less one."""

Encoded = NDArray[np.float32]
"""Encoder output, (windows, steps, width)."""


class WhisperModel:
    """One loaded model; calls may come from THREADS threads at once."""

    def __init__(self, model: str, *, device: str, compute_type: str, decode_batch: int | None = None) -> None:
        """
        Load a directory, or a name that faster-whisper knows; blocks.

        Without `decode_batch` it is eight on a CPU, and what the memory that is left allows on a GPU.
        """
        path = Path(model if Path(model).is_dir() else download_model(model))
        device = _device(device)
        self._on_cpu = device == "cpu"
        self._model = ctranslate2.models.Whisper(
            str(path),
            device=device,
            compute_type=_compute_type(device, compute_type),
            inter_threads=THREADS,
            intra_threads=1,
        )
        self._tokens = TokenTable.from_file(str(path / "tokenizer.json"))
        self._suppressed = _suppressed(self._tokenizer(ENGLISH, Task.TRANSCRIBE))
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._silence = self._encoded(self._mel(np.zeros(0, np.float32), LONGEST_S)[None])
        self.decode_batch = decode_batch or (CPU_DECODE_BATCH if self._on_cpu else windows_at_once(free_mib()))
        """How many windows are best decoded at once."""

    def check(self, language: str | None, task: Task) -> None:
        """Raise InvalidMessage where the model cannot do this."""
        if self._model.is_multilingual:
            if language is not None and self._tokens.token_to_id(f"<|{language}|>") is None:
                raise InvalidMessage(f"the model does not know the language {language!r}")
            return
        if language not in {None, ENGLISH}:
            raise InvalidMessage(f"the model hears English only, not {language!r}")
        if task is Task.TRANSLATE:
            raise InvalidMessage("the model hears English only and does not translate")

    def warm_up(self) -> None:
        """Decode silence once at each usual length, so that the first stream does not wait."""
        for purpose in (Purpose.PARTIAL, Purpose.FINAL):
            silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
            window = Window(
                purpose=purpose,
                start=0,
                samples=silence,
                speech_s=1.0,
                encoder_s=encoder_length_s(1.0),
                attended_s=attended_length_s(purpose, 1.0),
                wants_word_times=True,
            )
            self.transcribe([DecodeRequest(window=window, language=ENGLISH, task=Task.TRANSCRIBE)])

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        """Decode windows that attend to one length; blocking, safe from several threads."""
        heard = self._decode(requests)
        return [self._retried(request, first) for request, first in zip(requests, heard, strict=True)]

    def _retried(self, request: DecodeRequest, first: Transcription) -> Transcription:
        """Decode once more at full length, and believe that, where a short window may have been told twice."""
        window = request.window
        if window.purpose is Purpose.PARTIAL or window.attended_s >= LONGEST_S:
            return first
        if not is_looping(first.words) and not is_told_twice(first.words):
            return first
        return self._decode([replace(request, window=replace(window, encoder_s=LONGEST_S, attended_s=LONGEST_S))])[0]

    def _decode(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        encoded = self._encode([request.window for request in requests])
        languages = self._languages(requests, encoded)
        tokenizers = [
            self._tokenizer(language, request.task) for request, (language, _) in zip(requests, languages, strict=True)
        ]
        results = self._told(requests, encoded, tokenizers)
        return [
            Transcription(
                words=tuple(self._words(request.window, encoded[at : at + 1], result.sequences_ids[0], tokenizers[at])),
                language=languages[at][0],
                language_probability=languages[at][1],
                no_speech_probability=result.no_speech_prob,
                mean_logprob=result.scores[0],
            )
            for at, (request, result) in enumerate(zip(requests, results, strict=True))
        ]

    def _told(
        self, requests: Sequence[DecodeRequest], encoded: Encoded, tokenizers: Sequence[Tokenizer]
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        """
        Tell every window in tokens; one that is not at its end by the likely limit is told again, alone.

        The limit is that of the length attended to: who else is in the group changes nothing.
        """
        prompts = [_prompt(request, tokenizer) for request, tokenizer in zip(requests, tokenizers, strict=True)]
        attended_s, temperature = requests[0].window.attended_s, requests[0].temperature
        likely, most = (_limit(attended_s, per_s) for per_s in (LIKELY_TOKENS_PER_S, MOST_TOKENS_PER_S))
        results = self._generate(encoded, prompts, most_tokens=likely, temperature=temperature)
        for at, (request, tokenizer) in enumerate(zip(requests, tokenizers, strict=True)):
            ids = results[at].sequences_ids[0]
            if len(ids) >= likely and not is_told(ids, tokenizer, speech_s=request.window.speech_s + LEAD_S):
                alone = encoded[at : at + 1]
                results[at] = self._generate(alone, [prompts[at]], most_tokens=most, temperature=temperature)[0]
        return results

    def _generate(
        self, encoded: Encoded, prompts: list[list[int]], *, most_tokens: int, temperature: float
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        longest = max(map(len, prompts))
        told: list[ctranslate2.models.WhisperGenerationResult] = self._model.generate(
            ctranslate2.StorageView.from_array(encoded),
            prompts,
            beam_size=1,
            sampling_topk=0 if temperature else 1,
            sampling_temperature=temperature or 1.0,
            suppress_tokens=self._suppressed,
            max_length=max(2 * most_tokens, longest + most_tokens),  # the library keeps half of it for prompts
            return_scores=True,
            return_no_speech_prob=True,
        )
        return told

    def _encode(self, windows: Sequence[Window]) -> Encoded:
        """
        Encode all at once on a GPU. On a CPU, where a batch falls out of the cache, one by one and not the silence.

        What it would become stands behind each instead: silence encoded once, at the same steps.
        """
        if not self._on_cpu:
            return self._encoded(np.stack([self._mel(window.samples, window.attended_s) for window in windows]))
        steps = round(windows[0].attended_s * ENCODER_STEPS_PER_S)
        each = [self._encoded(self._mel(window.samples, window.encoder_s)[None]) for window in windows]
        return np.concatenate([np.concatenate([own, self._silence[:, own.shape[1] : steps]], axis=1) for own in each])

    def _encoded(self, features: NDArray[np.float32]) -> Encoded:
        view = self._model.encode(ctranslate2.StorageView.from_array(features), to_cpu=True)
        return np.array(view)

    def _mel(self, samples: Samples, length_s: float) -> NDArray[np.float32]:
        padded = np.zeros(round(length_s * SAMPLE_RATE_HZ), np.float32)
        lead = round(LEAD_S * SAMPLE_RATE_HZ)
        end = min(padded.size, lead + samples.size)
        padded[lead:end] = samples[: end - lead]
        return np.ascontiguousarray(self._features(padded, padding=0), dtype=np.float32)

    def _languages(self, requests: Sequence[DecodeRequest], encoded: Encoded) -> list[tuple[str, float]]:
        if not self._model.is_multilingual:
            return [(ENGLISH, 1.0)] * len(requests)
        if all(request.language is not None for request in requests):
            return [(request.language or ENGLISH, 1.0) for request in requests]
        ranked = self._model.detect_language(ctranslate2.StorageView.from_array(encoded))
        detected = [(ranking[0][0].strip("<|>"), float(ranking[0][1])) for ranking in ranked]
        return [
            (request.language, 1.0) if request.language else best
            for request, best in zip(requests, detected, strict=True)
        ]

    def _words(self, window: Window, encoded: Encoded, ids: Sequence[int], tokenizer: Tokenizer) -> list[SpokenWord]:
        speech_s = window.speech_s + LEAD_S
        pieces = read_pieces(ids, tokenizer, speech_s=speech_s)
        tokens = [token for piece in pieces for token in piece.tokens]
        if tokens and window.wants_word_times:
            words = self._align(tokens, window, encoded, tokenizer)
        else:
            words = spread_words(pieces, tokenizer, speech_s=speech_s)
        return [_without_lead(word) for word in words]

    def _align(self, tokens: list[int], window: Window, encoded: Encoded, tokenizer: Tokenizer) -> list[SpokenWord]:
        audio_s = LEAD_S + window.samples.size / SAMPLE_RATE_HZ
        frames = round(min(window.encoder_s, audio_s) * FRAMES_PER_S)
        own = np.ascontiguousarray(encoded[:, : round(window.encoder_s * ENCODER_STEPS_PER_S)])
        view = ctranslate2.StorageView.from_array(own)
        alignment = self._model.align(view, tokenizer.sot_sequence, [tokens], [frames])[0]
        text_steps, time_steps = (np.array(steps) for steps in zip(*alignment.alignments, strict=True))
        entered = np.diff(text_steps, prepend=-1).astype(bool)
        return aligned_words(
            tokens,
            tokenizer,
            jump_times_s=[float(step) / ENCODER_STEPS_PER_S for step in time_steps[entered]],
            probabilities=alignment.text_token_probs,
        )

    def _tokenizer(self, language: str, task: Task) -> Tokenizer:
        return Tokenizer(self._tokens, self._model.is_multilingual, task=task.value, language=language)


def _without_lead(word: SpokenWord) -> SpokenWord:
    return replace(word, start_s=max(0.0, word.start_s - LEAD_S), end_s=max(0.0, word.end_s - LEAD_S))


def _device(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def _compute_type(device: str, compute_type: str) -> str:
    if compute_type != "auto":
        return compute_type
    return "int8" if device == "cpu" else "float16"


def _suppressed(tokenizer: Tokenizer) -> list[int]:
    """Name the tokens that are not speech: sound descriptions, speaker tags, control tokens."""
    control = (
        tokenizer.sot,
        tokenizer.sot_lm,
        tokenizer.sot_prev,
        tokenizer.no_speech,
        tokenizer.transcribe,
        tokenizer.translate,
    )
    return sorted({*tokenizer.non_speech_tokens, *control})


def _prompt(request: DecodeRequest, tokenizer: Tokenizer) -> list[int]:
    """Spell what stands before the words; of a long prompt its end, as it is nearest."""
    if not request.prompt:
        return list(tokenizer.sot_sequence)
    before = tokenizer.encode(f" {request.prompt.strip()}")[-MOST_PROMPT_TOKENS:]
    return [tokenizer.sot_prev, *before, *tokenizer.sot_sequence]


def _limit(attended_s: float, tokens_per_s: int) -> int:
    return int((attended_s - MARGIN_S) * tokens_per_s) + SPARE_TOKENS

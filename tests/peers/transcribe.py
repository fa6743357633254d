"""Transcribes a file with whichever stock client is installed: `transcribe.py HOST PORT WAV SRT`."""

import importlib
import sys


def main(host: str, port: str, wav: str, srt: str) -> None:
    """Run the client as its README shows."""
    try:
        module = importlib.import_module("whisper_live.transcription_client")
    except ModuleNotFoundError:
        module = importlib.import_module("whisper_live.client")
    client = module.TranscriptionClient(
        host,
        int(port),
        lang="en",
        model="tiny.en",
        output_transcription_path=srt,
        log_transcription=False,
        mute_audio_playback=True,
    )
    client(wav)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Serves upstream's WhisperLive as its own `run_server.py` does: `serve_whisper_live.py PORT MODE MODEL`."""

import sys

from whisper_live.server import TranscriptionServer

MOST_CLIENTS = 64
LONGEST_S = 7_200
"""Upstream ends every connection after some time; no load test is this long."""


def main(port: str, mode: str, model: str) -> None:
    """Serve until killed; a model for each client, one for all, or one for all in batches."""
    TranscriptionServer().run(
        "127.0.0.1",
        port=int(port),
        backend="faster_whisper",
        faster_whisper_custom_model_path=model,
        single_model=mode != "own",
        batch_enabled=mode == "batch",
        max_clients=MOST_CLIENTS,
        max_connection_time=LONGEST_S,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

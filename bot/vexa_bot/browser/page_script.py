"""The script that runs in every frame at document start, put together from its parts."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from vexa_bot.browser.page_messages import CHUNK_SAMPLES
from vexa_bot.browser.site import Marks
from vexa_events.stream import SAMPLE_RATE_HZ

LEVEL_EVERY_MS = 100
REPORT_EVERY_MS = 500
_NAMES = {"tile_name": "tileName", "tile_id": "tileId", "self_": "self"}


def page_script(marks: Marks, *, binding: str) -> str:
    """Spell the script; nothing but what to look for enters the page, no address and no secret."""
    options = {
        "binding": binding,
        "rateHz": SAMPLE_RATE_HZ,
        "chunkSamples": CHUNK_SAMPLES,
        "levelEveryMs": LEVEL_EVERY_MS,
        "reportEveryMs": REPORT_EVERY_MS,
        "worklet": _read("tap_worklet.js"),
    }
    wanted = {_NAMES.get(name, name): value for name, value in asdict(marks).items()}
    capture, watch = _expression("capture.js"), _expression("watch.js")
    return f"{watch}({json.dumps(wanted)}, {capture}({json.dumps(options)}));"


def _expression(name: str) -> str:
    return f"({_read(name).strip().removesuffix(';')})"


@cache
def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text()

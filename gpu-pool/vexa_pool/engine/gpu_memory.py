"""How much memory the GPU has left, and how many windows at once that allows."""

import logging
import shutil
import subprocess

logger = logging.getLogger(__name__)

ASK = ("--query-gpu=memory.free", "--format=csv,noheader,nounits", "--id=0")
ASK_TIMEOUT_S = 10.0
MIB_A_WINDOW = 250
"""Keys and values of 30 s in all layers of large-v3 at 16 bits; smaller models need less."""
SHARE = 0.5
"""What windows may take of what is free; the rest is for the encoder's activations and for growth."""
LEAST_WINDOWS, MOST_WINDOWS = 4, 64
UNKNOWN_WINDOWS = 16


def free_mib() -> int | None:
    """Ask the driver's own tool; None where it is absent or says nothing; blocks for a moment."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        asked = subprocess.run([tool, *ASK], capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=True)  # noqa: S603 - a fixed question
        return int(asked.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as exc:
        logger.warning("GPU memory is unknown", extra={"error": str(exc)})
        return None


def windows_at_once(mib: int | None) -> int:
    """Reckon how many windows fit in that much free memory; not measured on any GPU."""
    if mib is None:
        return UNKNOWN_WINDOWS
    return max(LEAST_WINDOWS, min(MOST_WINDOWS, int(mib * SHARE / MIB_A_WINDOW)))

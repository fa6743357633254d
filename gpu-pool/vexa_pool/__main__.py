"""Runs one worker: `python -m vexa_pool`."""

import os
import sys

# Read by OpenBLAS when numpy loads it: its threads spin between calls and take the cores from the model.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from vexa_pool.process import run

if __name__ == "__main__":
    sys.exit(run(os.environ))

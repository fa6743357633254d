"""Runs the command line program: `python -m vexa_local`."""

import sys

from vexa_local.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""The door for images and local-dev: `uvicorn vexa_functions.bots.asgi:app`."""

from pathlib import Path

from vexa_functions.bots.app import function
from vexa_functions.hosting.shell import shell

app = shell("bots", function, source=Path(__file__).with_name("main.py"))

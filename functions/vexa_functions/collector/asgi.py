"""The door for images and local-dev: `uvicorn vexa_functions.collector.asgi:app`."""

from pathlib import Path

from vexa_functions.collector.app import function
from vexa_functions.hosting.shell import shell

app = shell("collector", function, source=Path(__file__).with_name("main.py"))

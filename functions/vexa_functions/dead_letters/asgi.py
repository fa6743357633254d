"""The door for images and local-dev: `uvicorn vexa_functions.dead_letters.asgi:app`."""

from pathlib import Path

from vexa_functions.dead_letters.app import function
from vexa_functions.hosting.shell import shell

app = shell("dead_letters", function, source=Path(__file__).with_name("main.py"))

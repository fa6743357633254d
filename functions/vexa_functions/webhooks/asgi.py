"""The door for images and local-dev: `uvicorn vexa_functions.webhooks.asgi:app`."""

from pathlib import Path

from vexa_functions.hosting.shell import shell
from vexa_functions.webhooks.app import function

app = shell("webhooks", function, source=Path(__file__).with_name("main.py"))

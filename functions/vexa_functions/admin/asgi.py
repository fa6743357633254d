"""The door for images and local-dev: `uvicorn vexa_functions.admin.asgi:app`."""

from pathlib import Path

from vexa_functions.admin.app import function
from vexa_functions.hosting.shell import shell

app = shell("admin", function, source=Path(__file__).with_name("main.py"))

"""The door for images and local-dev: `uvicorn vexa_functions.collector.asgi:app`."""

from vexa_functions.collector.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

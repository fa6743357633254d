"""The door for images and local-dev: `uvicorn vexa_functions.bots.asgi:app`."""

from vexa_functions.bots.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

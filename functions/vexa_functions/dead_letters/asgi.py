"""The door for images and local-dev: `uvicorn vexa_functions.dead_letters.asgi:app`."""

from vexa_functions.dead_letters.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

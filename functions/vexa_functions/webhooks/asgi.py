"""The door for images and local-dev: `uvicorn vexa_functions.webhooks.asgi:app`."""

from vexa_functions.hosting.shell import Shell
from vexa_functions.webhooks.app import function

app = Shell(function)

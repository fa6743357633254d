"""The door for images and local-dev: `uvicorn vexa_functions.admin.asgi:app`."""

from vexa_functions.admin.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

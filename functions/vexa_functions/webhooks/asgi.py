"""What images and local-dev serve: `python -m vexa_functions webhooks`."""

from vexa_functions.hosting.shell import Shell
from vexa_functions.webhooks.app import function

app = Shell(function)

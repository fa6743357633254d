"""What images and local-dev serve: `python -m vexa_functions bots`."""

from vexa_functions.bots.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

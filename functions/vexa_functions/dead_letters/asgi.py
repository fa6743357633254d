"""What images and local-dev serve: `python -m vexa_functions dead_letters`."""

from vexa_functions.dead_letters.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

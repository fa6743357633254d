"""What images and local-dev serve: `python -m vexa_functions collector`."""

from vexa_functions.collector.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

"""What images and local-dev serve: `python -m vexa_functions admin`."""

from vexa_functions.admin.app import function
from vexa_functions.hosting.shell import Shell

app = Shell(function)

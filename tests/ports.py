"""A port for a server that cannot be told to take any."""

import itertools
import os
import socket

from vexa_local.ports import LOOPBACK

_PORTS = range(10_000, 15_400)
"""
Below those of stacks, and below those that the kernel gives to whoever asks for any: nobody takes one of these between
here and the server that it is for. Workers of one run take turns.
"""
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_OWN = _PORTS[_WORKER::_WORKERS]
_places = itertools.count(os.getpid())  # another run on this machine begins elsewhere


def free_port() -> int:
    """Find a port that is free now, and that no other test of the run is given."""
    for place in itertools.islice(_places, len(_OWN)):
        port = _OWN[place % len(_OWN)]
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Not bound: a process that another thread starts at this moment would hold the port for a while.
            if probe.connect_ex((LOOPBACK, port)) == 0:
                continue
        return port
    raise OSError("no free ports")

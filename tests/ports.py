"""A port for a server that cannot be told to take any."""

import socket

from vexa_local.ports import LOOPBACK


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])

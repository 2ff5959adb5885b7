"""Ports on this machine."""

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that nothing listens on now. Another program can still be quicker to take it."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port

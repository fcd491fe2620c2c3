"""Free ports on the loopback address, chosen by us so that a service keeps its port when it is started again."""

import socket
import threading

__all__ = ["free_port"]

_given: set[int] = set()
_lock = threading.Lock()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now and was not handed out before by this process."""
    with _lock:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in _given:
                _given.add(port)
                return port

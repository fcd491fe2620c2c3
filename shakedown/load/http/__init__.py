"""HTTP/1.1 over connections of our own, made for speed.

==========  ==============================================================
requests    compiled once; templates rendered per iteration
connection  one connection: bytes out, one parsed answer back
vu          virtual users, and the driver that makes them
==========  ==============================================================
"""

from shakedown.load.http.vu import HttpDriver

__all__ = ["HttpDriver"]

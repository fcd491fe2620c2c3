"""HTTP/1.1 over connections of our own, made for speed.

==========  ==============================================================
bodies      JSON, forms, multipart, text and files, compiled once
requests    compiled once; templates rendered per iteration
connection  one connection: bytes out, one parsed answer back
decoding    compressed bodies, unpacked within limits
cookies     a user's jar
redirects   where an answer leads, and whether to go there
tls         certificates of ours and theirs
faults      what went wrong, by its class
vu          a virtual user
driver      what the users of a load share
==========  ==============================================================
"""

from shakedown.load.http.driver import HttpDriver

__all__ = ["HttpDriver"]

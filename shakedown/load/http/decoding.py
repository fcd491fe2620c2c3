"""Bodies that came compressed, unpacked as far as checks look at them."""

import zlib

from shakedown.load.http.connection import BODY_LIMIT, HttpAnswer

__all__ = ["decode"]

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's words for its wrappings


def decode(answer: HttpAnswer) -> str | None:
    """Unpack an answer's body in place; what is wrong with it, None when nothing is.

    No more than `BODY_LIMIT` bytes are unpacked, however small a body that unpacks to terabytes may be.
    """
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity" or not answer.body:
        return None
    if coding in ("gzip", "x-gzip"):
        kinds = [_GZIP]
    elif coding == "deflate":  # which is zlib's format by the book, and the raw one in the field
        kinds = [_ZLIB, _RAW]
    else:
        return f"a body in the encoding {coding[:40]!r}, which was not asked for"
    for kind in kinds:
        unpacker = zlib.decompressobj(kind)
        try:
            body = unpacker.decompress(answer.body, BODY_LIMIT + 1)
        except zlib.error as error:
            problem = f"a body that is not {coding}: {error}"
            continue
        if not (unpacker.eof or len(body) > BODY_LIMIT or answer.truncated):
            return f"a {coding} body that ends too early"
        answer.truncated = answer.truncated or len(body) > BODY_LIMIT
        answer.body = body[:BODY_LIMIT]
        return None
    return problem

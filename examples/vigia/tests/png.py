"""Pictures without a library: PNG of 8-bit RGB, written and read, so that the service's own is not tested by itself."""

import struct
import zlib

Pixel = tuple[int, int, int]


def write(width: int, height: int, rows: bytes) -> bytes:
    """A PNG of rows of red, green, blue."""
    raw = b"".join(b"\0" + rows[at : at + width * 3] for at in range(0, width * height * 3, width * 3))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data) for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(raw, 1)), (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read(data: bytes) -> tuple[int, int, bytes]:
    """Width, height, and the rows of a PNG of 8-bit RGB that is not interlaced."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG"
    at, packed, width, height = 8, b"", 0, 0
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        part = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + part), "damaged"
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", part)
            assert (depth, colour, interlaced) == (8, 2, 0), "not 8-bit RGB"
        packed += part if kind == b"IDAT" else b""
        at += 12 + length
    raw, before, rows = zlib.decompress(packed), bytes(width * 3), []
    for start in range(0, len(raw), width * 3 + 1):
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + width * 3], before)
        rows.append(before)
    assert len(rows) == height, "rows are missing"
    return width, height, b"".join(rows)


def _unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    found = bytearray(line)
    for at in range(len(found) if kind else 0):
        left, up, corner = (found[at - 3], above[at], above[at - 3]) if at >= 3 else (0, above[at], 0)
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            sum_ = left + up - corner
            guess = min((left, up, corner), key=lambda one, sum_=sum_: abs(sum_ - one))
        found[at] = (found[at] + guess) & 0xFF
    return bytes(found)


def pixel(rows: bytes, width: int, x: int, y: int) -> Pixel:
    """One pixel."""
    at = (y * width + x) * 3
    return rows[at], rows[at + 1], rows[at + 2]

"""A value as a short text that is the same for the same value, however it was written down."""

import json
from hashlib import blake2b

__all__ = ["digest_of", "hash_of"]

SIZE = 8  # bytes: of a million values that went wrong, one in 10¹³ would look right


def canonical(value: object) -> bytes:
    """JSON with its members sorted and no blanks; texts as they are, unless they are JSON objects or lists themselves."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        try:
            value = data.decode()
        except UnicodeDecodeError:
            return data
    if isinstance(value, str):
        text = value.strip()
        if text[:1] not in ("{", "["):
            return value.encode("utf-8", "surrogatepass")
        try:
            value = json.loads(text)
        except ValueError:
            return str(value).encode("utf-8", "surrogatepass")
    if isinstance(value, bool) or value is None or isinstance(value, dict | list | tuple):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode(
            "utf-8", "surrogatepass"
        )
    if isinstance(value, float) and value.is_integer():
        return str(int(value)).encode()  # 5.0 that went through JSON is 5
    return str(value).encode("utf-8", "surrogatepass")


def digest_of(value: object) -> str:
    """Sixteen hexadecimal digits."""
    return blake2b(canonical(value), digest_size=SIZE).hexdigest()


def hash_of(key: str) -> int:
    """A key as 64 bits."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=SIZE).digest(), "little")

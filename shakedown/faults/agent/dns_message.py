"""DNS messages (RFC 1035), as far as the resolver needs them: whatever comes in, nothing raises, and nothing runs on and on."""

import ipaddress
import struct
from dataclasses import dataclass

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
TYPES = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "SVCB": 64,
    "HTTPS": 65,
}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
LONGEST_NAME = 255
POINTERS = 32  # followed in one name at most; each must point backwards too
_HEADER = struct.Struct(">HHHHHH")
_QUESTION = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")


@dataclass(frozen=True)
class Query:
    """One question: its name in lower case without the last dot, and where it ends in the message."""

    name: str
    type: int
    end: int

    @property
    def type_name(self):
        return TYPE_NAMES.get(self.type, f"TYPE{self.type}")


def read_name(message, at):
    """A name and where the message goes on after it; None for anything that is no name."""
    labels, length, jumps, after = [], 0, 0, None
    while at < len(message):
        size = message[at]
        if size == 0:
            return ".".join(labels).lower(), after if after is not None else at + 1
        if size >= 0xC0:  # the rest stands elsewhere, earlier in the message
            if at + 1 >= len(message) or jumps >= POINTERS:
                return None
            target = (size & 0x3F) << 8 | message[at + 1]
            after = after if after is not None else at + 2
            if target >= at:
                return None
            at, jumps = target, jumps + 1
            continue
        length += size + 1
        if size > 63 or length > LONGEST_NAME or at + 1 + size > len(message):
            return None
        labels.append(message[at + 1 : at + 1 + size].decode("latin-1").replace(".", "\\."))
        at += 1 + size
    return None


def question(message):
    """The question of a query; None when it is no plain query with one question."""
    if len(message) < _HEADER.size:
        return None
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & 0xF800 or questions != 1:  # an answer, or another operation than a query
        return None
    found = read_name(message, _HEADER.size)
    if found is None or found[1] + _QUESTION.size > len(message):
        return None
    name, end = found
    kind, where = _QUESTION.unpack_from(message, end)
    return Query(name, kind, end + _QUESTION.size) if where == 1 else None


def answer(message, query, rcode, addresses=(), ttl=0):
    """The answer to a query: a code, and those of the addresses that fit the type asked for.

    Nothing in it lets a client remember that there is no such name (that takes an SOA record: RFC 2308).
    """
    identity, flags, *_ = _HEADER.unpack_from(message)
    fitting = [one for one in map(ipaddress.ip_address, addresses) if query.type == (1 if one.version == 4 else 28)]
    head = _HEADER.pack(identity, 0x8080 | (flags & 0x0100) | rcode, 1, len(fitting), 0, 0)
    records = b"".join(b"\xc0\x0c" + _RECORD.pack(query.type, 1, ttl, len(one.packed)) + one.packed for one in fitting)
    return head + message[_HEADER.size : query.end] + records


def ask(identity, name, kind):
    """A query."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode("ascii").split(b".") if label)
    return _HEADER.pack(identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + _QUESTION.pack(kind, 1)


def told(message):
    """What an answer says: its code and its addresses; None for rubbish."""
    if len(message) < _HEADER.size:
        return None
    _, flags, questions, answers, *_ = _HEADER.unpack_from(message)
    at, addresses = _HEADER.size, []
    for _ in range(questions):
        found = read_name(message, at)
        if found is None:
            return None
        at = found[1] + _QUESTION.size
    for _ in range(answers):
        found = read_name(message, at)
        if found is None or found[1] + _RECORD.size > len(message):
            return None
        kind, _, _, size = _RECORD.unpack_from(message, found[1])
        at = found[1] + _RECORD.size
        data = message[at : at + size]
        at += size
        if (kind, len(data)) in ((1, 4), (28, 16)):
            addresses.append(str(ipaddress.ip_address(data)))
    return RCODES.get(flags & 15, f"RCODE{flags & 15}"), sorted(addresses)

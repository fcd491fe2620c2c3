"""Slower queries: what a client asks of PostgreSQL waits before the server sees it. A fault of the agent (see proxy.py).

Version 3 of the protocol is read as it passes, and never changed. A query is a simple one (Query) or the execution of a
prepared one (Execute). Those of one connection wait one after another, and everything behind them waits too; connecting
does not wait. What was prepared before this began to look has no known text: it waits only where every query does.
"""

import re
import struct
import time

from proxy import ProxyFault
from toxics import Later

TEXT_LIMIT = 64 << 10  # bytes of a message that are looked at, if it has a query's text
NAME_LIMIT = 1 << 10  # and if it has names alone
NAMES = 10_000  # prepared queries of one connection whose text is kept
SSL, GSS, CANCEL = 80877103, 80877104, 80877102
LOOK_AT = {b"Q": TEXT_LIMIT, b"P": TEXT_LIMIT, b"B": NAME_LIMIT, b"E": NAME_LIMIT}
TYPES = frozenset(b"QPBECDHSXFdcfp")
TLS_HANDSHAKE = 0x16


class Query(bytes):
    """A chunk that begins with a query that is to wait."""


class Asking(Later):
    """What the client of one connection sends."""

    def __init__(self, fault, flow):
        super().__init__(fault, flow)
        self.buffer = bytearray()  # the beginning of a message, until there is enough of it to look at
        self.rest = 0  # bytes of the current message that pass without a look
        self.step = self.first if flow.connection.fresh else self.message
        self.texts, self.portals = {}, {}
        self.last = 0.0  # when something was handed on

    def feed(self, data):
        self.buffer += data
        while self.buffer:
            if self.rest:
                self.pass_on(min(self.rest, len(self.buffer)))
            elif not self.step():
                return

    def end(self):
        self.pass_on(len(self.buffer))
        super().end()

    def release(self):
        super().release()
        if self.buffer:
            self.next(bytes(self.buffer))
            self.buffer.clear()
        return True

    def pass_on(self, number):
        """Hand on what is at the beginning, now or behind what waits."""
        if number:
            self.rest = max(self.rest - number, 0)
            self.put(self.take(number), time.monotonic())

    def take(self, number):
        data = bytes(self.buffer[:number])
        del self.buffer[:number]
        return data

    # ------------------------------------------------------------------------------------------------------ the protocol
    def first(self):
        """The first message, which has no type; before it the client may ask for encryption. False: more is needed."""
        if self.buffer[0] == TLS_HANDSHAKE:
            self.fault.encrypted += 1
            self.step = self.blind
            return True
        if len(self.buffer) < 8:
            return False
        length, code = struct.unpack("!II", self.buffer[:8])
        if code in (SSL, GSS) and length == 8:
            self.rest = 8
        elif (code >> 16 == 3 and length >= 8) or code == CANCEL:
            self.rest, self.step = length, self.message
        else:
            self.give_up()
        return True

    def message(self):
        """A message with its type; what is not looked into passes at once. False: more is needed."""
        if self.buffer[0] not in TYPES:
            self.give_up()
            return True
        if len(self.buffer) < 5:
            return False
        kind, length = bytes(self.buffer[:1]), int.from_bytes(self.buffer[1:5], "big") + 1
        if length < 5:
            self.give_up()
            return True
        looked_at = min(length, LOOK_AT.get(kind, 5))
        if len(self.buffer) < looked_at:
            return False
        head = self.take(looked_at)
        self.rest = length - looked_at
        if self.waits(kind, head[5:]):
            now = time.monotonic()
            begins = max(self.waiting[-1][0], now) if self.waiting else now
            self.put(Query(head), begins + self.fault.delay)
        else:
            self.put(head, time.monotonic())
        return True

    def blind(self):
        """From here on bytes only."""
        self.pass_on(len(self.buffer))
        return True

    def give_up(self):
        self.fault.unread += 1
        self.step = self.blind

    def waits(self, kind, payload):
        """Whether this message is a query that is to wait; what is told of prepared ones is kept."""
        if kind == b"Q":
            return self.fault.wants(payload.partition(b"\0")[0])
        if kind == b"E":
            return self.fault.wants(self.portals.get(payload.partition(b"\0")[0]))
        if kind in (b"P", b"B"):
            known = self.texts if kind == b"P" else self.portals
            name, _, rest = payload.partition(b"\0")
            told = rest.partition(b"\0")[0]
            if name not in known and len(known) >= NAMES:
                known.pop(next(iter(known)))
            known[name] = told if kind == b"P" else self.texts.get(told)
        return False

    def hand_on(self, due, came, data):
        now = time.monotonic()
        if isinstance(data, Query):
            self.fault.waited(now - max(came, self.last))
        self.last = now
        super().hand_on(due, came, data)


class SlowQueries(ProxyFault):
    """Each query that is meant reaches the server later by `delay` seconds; `matching`: a pattern somewhere in its text."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.delay = order["delay"]
        pattern = order.get("matching")
        self.matching = re.compile(pattern.encode(), re.IGNORECASE) if pattern else None
        self.queries = self.meant = self.done = self.encrypted = self.unread = 0
        self.sum = 0.0

    def stages(self, connection):
        return Asking(self, connection.up), None

    def passed(self, stage, data, seconds):
        pass

    def wants(self, text):
        """Whether a query is to wait; text: None where it is not known."""
        self.queries += 1
        wanted = self.matching is None or (text is not None and self.matching.search(text) is not None)
        self.meant += wanted
        return wanted

    def waited(self, seconds):
        if self.active:
            self.done += 1
            self.sum += seconds

    def stats(self):
        mean = self.sum / self.done if self.done else 0.0
        names = ("queries", "meant", "done", "encrypted", "unread")
        return {**super().stats(), **{name: getattr(self, name) for name in names}, "delay": mean}


KINDS = {"postgres-queries": SlowQueries}

"""HTTP faults: which requests they choose, what they count, and their place in the proxy's streams.

::

    client ──Side──▶ Tap.feed ─▶ Relay ─▶ next ──▶ server      one Relay for each connection of each fault,
    client ◀─── next ◀─ Relay ◀─ Tap.feed ◀──Side── server     two Taps that connect it with the proxy

Several HTTP faults at once stand one behind the other: what the first answers itself, the second never sees.
"""

import asyncio
import collections
import itertools
import random
import re
import time

import proxy
import tls
from http_acts import ACTS
from http_relay import Relay

SEEN_LIMIT = 100  # different kinds of requests that are counted by name
PATH_LIMIT = 80  # bytes of a path in a report
places = itertools.count()


class Choice:
    """Which requests a fault disturbs: those that match, and of them a share, the first ones, or every Nth."""

    def __init__(self, order, seed):
        self.methods = frozenset(order.get("methods") or ())
        self.path = re.compile(order["path"], re.DOTALL) if order.get("path") else None
        self.headers = {
            name.lower(): re.compile(value, re.DOTALL) for name, value in (order.get("headers") or {}).items()
        }
        self.share, self.first, self.every = order.get("share", 1.0), order.get("first"), order.get("every")
        self.lots = random.Random(f"{seed}:requests")
        self.matched = 0

    def matches(self, head):
        if self.methods and head.method not in self.methods:
            return False
        if self.path is not None and not self.path.fullmatch(head.path):
            return False
        return all(
            (head.get(name) is not None and value.fullmatch(head.get(name))) for name, value in self.headers.items()
        )

    def draw(self):
        """Whether the request that matched just now is chosen."""
        self.matched += 1
        if self.first is not None:
            return self.matched <= self.first
        if self.every is not None:
            return self.matched % self.every == 0
        return self.share >= 1 or self.lots.random() < self.share


class Tap(proxy.Stage):
    """One direction of one connection: what comes in waits here until the relay reads it."""

    def __init__(self, fault, flow, link, layer):
        super().__init__(fault, flow)
        self.link, self.layer = link, layer
        self.waiting = collections.deque()
        self.ended, self.reader = False, None

    def feed(self, data):
        self.waiting.append(data)
        self.flow.hold(len(data))
        self.wake()

    def end(self):
        self.ended = True
        self.wake()

    def wake(self):
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)

    async def read(self):
        while not self.waiting:
            if self.ended:
                return b""
            self.reader = asyncio.get_running_loop().create_future()
            try:
                await self.reader
            finally:
                self.reader = None
        data = self.waiting.popleft()
        self.flow.unhold(len(data))
        return data

    def release(self):
        self.link.release()
        return False  # it leaves between two messages


class End:
    """A side of the connection as the relay sees it: it reads one tap and writes behind the other."""

    def __init__(self, connection, source, sink):
        self.connection, self.source, self.sink = connection, source, sink
        self.read = source.read

    def write(self, data):
        if data and not self.connection.over:
            self.sink.next(data)

    async def drain(self):
        """The proxy does not read a side whose other side is full, so little can gather here."""

    def write_eof(self):
        if not self.connection.over:
            self.sink.next_end()

    def close(self):
        self.connection.close()

    def abort(self):
        self.connection.reset()


class Link:
    """A relay, its taps, and the task that runs it."""

    def __init__(self, fault, connection):
        self.connection = connection
        layer = 10 + fault.place
        self.up = Tap(fault, connection.up, self, layer)
        self.down = Tap(fault, connection.down, self, layer)
        client, service = End(connection, self.up, self.down), End(connection, self.down, self.up)
        self.relay = Relay(client, service, fault.choose, fault.told, fault.odd)
        self.task = asyncio.ensure_future(self.relay.serve())
        self.leaving = None

    def release(self):
        """The fault is over: no more waiting, and out of the stream as soon as no message is under way."""
        if self.leaving is None:
            self.relay.hurry.set()
            self.leaving = asyncio.ensure_future(self.leave())

    async def leave(self):
        while not self.task.done():
            if self.connection.over:
                self.task.cancel()
                return
            # Where a side has ended, the relay stays until the other has: the end might be with us, not handed on yet.
            under_way = any(tap.waiting or tap.ended for tap in (self.up, self.down))
            if self.relay.idle and not under_way:
                self.relay.abandoned = True
                self.task.cancel()
                for tap in (self.up, self.down):
                    tap.leave()
                return
            await asyncio.sleep(0.05)

    def close(self):
        """The connection is over."""
        if self.leaving is None:
            self.task.cancel()


class Http(proxy.ProxyFault):
    """One HTTP fault: `choice` says of which requests, `act` and `parameters` what happens to them."""

    def __init__(self, agent, order):
        given = order.pop("tls", None)  # a key is among it: nothing keeps the order's text
        super().__init__(agent, {**order, "share": 1.0})  # the share is one of requests
        self.tls = tls.Given(given) if given else None
        self.place = next(places) / 1e6
        self.prepare(order)

    def prepare(self, order):
        self.choice = Choice(order["choice"], order.get("seed", 0))
        self.random = random.Random(f"{order.get('seed', 0)}:act")
        self.act = ACTS[order["act"]](self, order["parameters"])
        self.requests = self.hit = self.gave_up = self.waits = 0
        self.waited = self.longest = 0.0
        self.kinds, self.answers, self.unfitting, self.others = (collections.Counter() for _ in range(4))

    def stages(self, connection):
        if (
            not connection.fresh
        ):  # somewhere in the middle of a message: as with those that do not come through here yet
            connection.reset()
            return None, None
        if self.tls is not None:
            tls.end_in_proxy(self.tls, connection)
        link = Link(self, connection)
        connection.state[self.tag] = link
        return link.up, link.down

    def stop(self):
        super().stop()
        if self.tls is not None:
            self.tls.forget()

    def on_close(self, connection):
        link = connection.state.get(self.tag)
        if link is not None and connection.over:
            link.close()

    # ------------------------------------------------------------------------------------------------- for the relay
    def choose(self, head):
        """The act that is to disturb a request's answer, or None."""
        if not self.active:
            return None
        self.requests += 1
        kind = f"{head.method} {head.path[:PATH_LIMIT]}"
        self.kinds[kind if kind in self.kinds or len(self.kinds) < SEEN_LIMIT else "others"] += 1
        head.matched = self.choice.matches(head)
        return self.act if head.matched and self.choice.draw() else None

    def told(self, request, status):
        """What the client of an undisturbed request got."""
        if request.matched:
            self.answers[str(status)] += 1

    def odd(self, why):
        self.others[why] += 1

    # -------------------------------------------------------------------------------------------------- for the acts
    def disturbed(self, exchange, told):
        self.hit += 1
        self.answers[str(told)] += 1

    def unfit(self, exchange, why, status):
        self.unfitting[why] += 1
        self.answers[str(status)] += 1

    def measured(self, waited):
        self.waits += 1
        self.waited += waited
        self.longest = max(self.longest, waited)

    async def pause(self, seconds, relay, until_gone=False):
        """Wait, at most until the fault is over; how long it was.

        A client that ends its side has most likely given up; but it may only have no more to ask, and so an answer that
        is late still comes, unless `until_gone`.
        """
        begun, was_gone = time.monotonic(), relay.gone.is_set()
        over, gone = asyncio.ensure_future(relay.hurry.wait()), asyncio.ensure_future(relay.gone.wait())
        try:
            await asyncio.wait(
                [over] if was_gone else [over, gone], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if gone.done() and not was_gone:
                self.gave_up += 1
                if not until_gone:
                    left = None if seconds is None else max(begun + seconds - time.monotonic(), 0.0)
                    await asyncio.wait([over], timeout=left)
        except asyncio.CancelledError:  # the client reset its connection
            if not relay.gone.is_set():
                self.gave_up += 1
            raise
        finally:
            over.cancel()
            gone.cancel()
        return time.monotonic() - begun

    def stats(self):
        return {**super().stats(), **self.counted(), "tls": self.tls and self.tls.stats()}

    def counted(self):
        return {
            "requests": self.requests,
            "matched": self.choice.matched,
            "disturbed": self.hit,
            "unfit": dict(self.unfitting.most_common(5)),
            "told": dict(self.answers.most_common(12)),
            "kinds": dict(self.kinds.most_common(8)),
            "odd": dict(self.others.most_common(5)),
            "gave_up": self.gave_up,
            "waits": self.waits,
            "wait": self.waited / self.waits if self.waits else 0.0,
            "active": self.active,
        }


KINDS = {"http": Http}

"""Connections that end, do not end, or never begin. Each is a fault of the agent (see proxy.py)."""

import time

from proxy import ProxyFault, Stage
from toxics import EARLY


class Timed(ProxyFault):
    """Does something to each of its connections, a while after it was opened (or the fault began)."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.after = order.get("after", 0.0)
        self.acted = 0
        self.timers = {}

    def plan(self, connection):
        loop = self.proxy.loop
        self.timers[connection] = (
            loop.call_later(self.after, self.work, connection) if self.after > EARLY
            else loop.call_soon(self.work, connection)
        )  # fmt: skip

    def work(self, connection):
        self.timers.pop(connection, None)
        if self.active and not connection.over:
            self.acted += 1
            self.act(connection)

    def on_close(self, connection):
        timer = self.timers.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def stats(self):
        return {**super().stats(), "acted": self.acted}


class Counting(Stage):
    """Tells the fault what passes."""

    def feed(self, data):
        self.fault.passing(self, data)


class Reset(Timed):
    """RST to both sides: after a time, or once so many bytes have passed in both directions together."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.limit = order.get("bytes")

    def stages(self, connection):
        if self.limit is None:
            self.plan(connection)
            return None, None
        connection.state[self.tag] = 0
        return Counting(self, connection.up), Counting(self, connection.down)

    def passing(self, stage, data):
        connection = stage.flow.connection
        passed = connection.state[self.tag]
        if passed + len(data) < self.limit:
            connection.state[self.tag] = passed + len(data)
            stage.next(data)
        elif not connection.over:
            stage.next(data[: self.limit - passed])
            connection.state[self.tag] = self.limit
            self.acted += 1
            self.proxy.loop.call_soon(connection.reset)  # what was handed on is written by then

    def act(self, connection):
        connection.reset()


class Swallowing(Stage):
    """Bytes, and the end, vanish while the fault says so."""

    def feed(self, data):
        if not self.fault.swallows(self, len(data)):
            self.next(data)

    def end(self):
        if not self.fault.swallows(self, 0):
            self.next_end()


class Blackhole(ProxyFault):
    """Bytes vanish and the connection stays open. One that lost some is reset when the fault ends: it has a gap."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.bytes, self.gaps = 0, 0

    def stages(self, connection):
        connection.keep(self.tag)
        return Swallowing(self, connection.up), Swallowing(self, connection.down)

    def swallows(self, stage, number):
        connection = stage.flow.connection
        if self.tag not in connection.state:
            connection.state[self.tag] = "gap"
            self.gaps += 1
        self.bytes += number
        return True

    def on_close(self, connection):
        if connection.state.get(self.tag) == "gap" and not connection.over:
            connection.reset()

    def stats(self):
        return {**super().stats(), "bytes": self.bytes, "gaps": self.gaps, "dropped": self.rules.dropped()}


class HalfOpen(Timed):
    """One side sees the end of the connection, the other nothing at all; when the fault ends it is told, by RST."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.seen_by = order.get("seen_by", "client")
        self.bytes = 0

    def stages(self, connection):
        self.plan(connection)
        return Swallowing(self, connection.up), Swallowing(self, connection.down)

    def act(self, connection):
        connection.keep(self.tag)
        connection.state[self.tag] = "half"
        side = connection.client if self.seen_by == "client" else connection.server
        if side.transport is not None:
            side.transport.close()

    def swallows(self, stage, number):
        if stage.flow.connection.state.get(self.tag) != "half":
            return False
        self.bytes += number
        return True

    def stats(self):
        return {**super().stats(), "bytes": self.bytes}


class Closing(Stage):
    """The end is handed on later."""

    timer = None

    def end(self):
        loop = self.flow.connection.proxy.loop
        self.timer = loop.call_later(self.fault.delay, self.work, time.monotonic())

    def work(self, begun):
        self.timer = None
        if not self.flow.connection.over:
            self.fault.closed(time.monotonic() - begun)
            self.next_end()

    def release(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.next_end()
        return True


class SlowClose(ProxyFault):
    """Bytes pass, but the end of a connection comes late."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.delay = order["delay"]
        self.ends, self.sum = 0, 0.0

    def stages(self, connection):
        return Closing(self, connection.up), Closing(self, connection.down)

    def closed(self, seconds):
        if self.active:
            self.ends += 1
            self.sum += seconds

    def stats(self):
        return {**super().stats(), "ends": self.ends, "delay": self.sum / self.ends if self.ends else 0.0}


class ConnectionLimit(ProxyFault):
    """At most so many connections at once; any more are reset."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.limit = order["limit"]
        self.current = set()
        self.peak = self.refused = 0

    def on_open(self, connection):
        if len(self.current) >= self.limit:
            self.refused += 1
            connection.reset()

    def stages(self, connection):
        self.current.add(connection)
        self.peak = max(self.peak, len(self.current))
        return None, None

    def on_close(self, connection):
        self.current.discard(connection)

    def stats(self):
        return {**super().stats(), "peak": self.peak, "refused": self.refused, "current": len(self.current)}


class DataLimit(ProxyFault):
    """So many bytes in either direction, then the connection ends in good order."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.limit = order["bytes"]
        self.cut = 0

    def stages(self, connection):
        pair = Counting(self, connection.up), Counting(self, connection.down)
        connection.state[self.tag] = {"up": 0, "down": 0, "pair": pair, "cut": False}
        return pair

    def passing(self, stage, data):
        state, way = stage.flow.connection.state[self.tag], stage.flow.name
        if state["cut"]:
            return
        rest = self.limit - state[way]
        state[way] += min(len(data), rest)
        stage.next(data[:rest] if len(data) > rest else data)
        if len(data) >= rest:
            state["cut"] = True
            self.cut += 1
            for each in state["pair"]:
                each.next_end()

    def stats(self):
        return {**super().stats(), "cut": self.cut}


class Refused:
    """New connections are answered by RST, by the kernel."""

    def __init__(self, agent, order):
        self.order, self.rules = order, agent.redirects(order)
        self.last = None

    async def start(self):
        self.rules.refuse(self.order.get("share", 1.0))

    def stop(self):
        self.last = self.last or self.rules.refused()
        self.rules.remove()

    def stats(self):
        came, refused = self.last if self.last is not None else self.rules.refused()
        return {"came": came, "packets": refused, "uncovered": self.rules.uncovered}


class RefusedHere(ProxyFault):
    """As the proxy in the foreground can do it: new connections are reset before the server hears of them."""

    refused = 0

    def on_open(self, connection):
        self.refused += 1
        connection.reset()

    def stats(self):
        return {**super().stats(), "came": self.seen, "packets": self.refused}


KINDS = {
    "reset": Reset,
    "refused": Refused,
    "refused-here": RefusedHere,
    "blackhole": Blackhole,
    "half-open": HalfOpen,
    "slow-close": SlowClose,
    "connection-limit": ConnectionLimit,
    "data-limit": DataLimit,
}

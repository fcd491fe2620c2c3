"""Slower connections: bytes that come later, fewer at a time, in small pieces. Each is a fault of the agent (see proxy.py)."""

import collections
import random
import time

from proxy import ProxyFault, Stage

EARLY = 0.0005  # a timer is good to a millisecond: what is due this soon is due


class Later(Stage):
    """A stage that keeps chunks, in order, until they are due."""

    def __init__(self, fault, flow):
        super().__init__(fault, flow)
        self.waiting = collections.deque()  # (due, came, chunk or None for the end)
        self.timer = None

    def feed(self, data):
        self.put(data, self.fault.due(self, data))

    def end(self):
        self.put(None, self.waiting[-1][0] if self.waiting else time.monotonic())

    def put(self, data, due):
        if self.waiting:
            due = max(due, self.waiting[-1][0])
        self.waiting.append((due, time.monotonic(), data))
        if data is not None:
            self.flow.hold(len(data))
        if self.timer is None:
            self.arm()

    def arm(self):
        wait = self.waiting[0][0] - time.monotonic()
        loop = self.flow.connection.proxy.loop
        self.timer = loop.call_later(wait, self.work) if wait > EARLY else loop.call_soon(self.work)

    def work(self):
        self.timer = None
        if self.flow.connection.over:
            return
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now + EARLY:
            self.hand_on(*self.waiting.popleft())
        if self.waiting and self.timer is None:
            self.arm()

    def hand_on(self, due, came, data):
        if data is None:
            self.next_end()
            return
        self.flow.unhold(len(data))
        self.fault.passed(self, data, time.monotonic() - came)
        self.next(data)

    def release(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        while self.waiting:
            _, _, data = self.waiting.popleft()
            if data is None:
                self.next_end()
            else:
                self.flow.unhold(len(data))
                self.next(data)
        return True


class Latency(ProxyFault):
    """Every byte later: half of the latency in each direction."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.latency, self.jitter = order["latency"], order.get("jitter", 0.0)
        self.shape = order.get("distribution", "uniform")
        self.random = random.Random(f"{order.get('seed', 0)}:jitter:{self.proxy.begun}")
        self.chunks, self.sum, self.squares = 0, 0.0, 0.0

    def stages(self, connection):
        return Later(self, connection.up), Later(self, connection.down)

    def due(self, stage, data):
        return time.monotonic() + max(self.latency + self.off(), 0.0) / 2

    def off(self):
        """How far this chunk's latency is off."""
        if not self.jitter:
            return 0.0
        if self.shape == "normal":
            return self.random.gauss(0.0, self.jitter)
        if self.shape == "pareto":  # shape 3: mean 1.5, deviation 0.866; moved and scaled to mean 0, deviation `jitter`
            return (self.random.paretovariate(3) - 1.5) / 0.8660254 * self.jitter
        return self.random.uniform(-self.jitter, self.jitter)

    def passed(self, stage, data, seconds):
        if self.active:
            self.chunks += 1
            self.sum += seconds
            self.squares += seconds * seconds

    def stats(self):
        mean = self.sum / self.chunks if self.chunks else 0.0
        spread = max(self.squares / self.chunks - mean * mean, 0.0) ** 0.5 if self.chunks else 0.0
        return {**super().stats(), "chunks": self.chunks, "delay": mean, "spread": spread}


class Throttled(Stage):
    """Hands on piece after piece, as fast as the fault's link carries them."""

    def __init__(self, fault, flow):
        super().__init__(fault, flow)
        self.waiting = collections.deque()
        self.size, self.timer, self.over = 0, None, False

    def feed(self, data):
        self.flow.hold(len(data))
        self.size += len(data)
        self.waiting.append(data)
        self.fault.came(self.flow.name, len(data))
        if self.size > self.fault.patience:
            self.flow.block(self)
        if self.timer is None:
            self.send()

    def end(self):
        self.over = True
        if self.timer is None:
            self.next_end()

    def send(self):
        """Put the next piece on the link."""
        data = self.waiting.popleft()
        if len(data) > self.fault.piece:
            self.waiting.appendleft(data[self.fault.piece :])
            data = data[: self.fault.piece]
        wait = self.fault.carried(self.flow.name, len(data)) - time.monotonic()
        self.piece, self.timer = data, self.flow.connection.proxy.loop.call_later(max(wait, 0.0), self.sent)

    def sent(self):
        self.timer = None
        if self.flow.connection.over:
            return
        self.pass_on(self.piece)
        if self.size <= self.fault.patience // 2:
            self.flow.unblock(self)
        if self.waiting:
            self.send()
        elif self.over:
            self.next_end()

    def pass_on(self, data):
        self.flow.unhold(len(data))
        self.size -= len(data)
        self.fault.gone(self.flow.name, len(data))
        self.next(data)

    def release(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.waiting.appendleft(self.piece)
        while self.waiting:
            self.pass_on(self.waiting.popleft())
        if self.over:
            self.next_end()
        return True


class Bandwidth(ProxyFault):
    """A link of so many bytes a second in each direction, which all connections of the fault share."""

    TICK = 0.02  # seconds of one piece

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.rate = order["rate"]
        self.piece = max(int(self.rate * self.TICK), 1)
        self.patience = max(int(self.rate * 0.25), 2 * self.piece, 4096)  # bytes that wait before the sender does
        self.free = {"up": 0.0, "down": 0.0}  # when the link is free again
        self.pending = {"up": 0, "down": 0}
        self.since = {"up": 0.0, "down": 0.0}
        self.busy = {"up": 0.0, "down": 0.0}
        self.bytes = {"up": 0, "down": 0}

    def stages(self, connection):
        return Throttled(self, connection.up), Throttled(self, connection.down)

    def came(self, way, number):
        if not self.pending[way]:
            self.since[way] = time.monotonic()
            self.free[way] = max(self.free[way], self.since[way])
        self.pending[way] += number

    def carried(self, way, number):
        """When the link will have carried so many bytes more. A timer that was late is made up for."""
        self.free[way] = max(self.free[way], time.monotonic() - self.TICK) + number / self.rate
        return self.free[way]

    def gone(self, way, number):
        self.pending[way] -= number
        if self.active:
            self.bytes[way] += number
            if not self.pending[way]:
                self.busy[way] += time.monotonic() - self.since[way]

    def on_close(self, connection):
        for flow in (connection.up, connection.down):
            for stage in flow.stages:
                if stage.fault is self and stage.size:
                    self.pending[flow.name] -= stage.size
                    stage.size = 0
                    if not self.pending[flow.name]:
                        self.busy[flow.name] += time.monotonic() - self.since[flow.name]

    def stats(self):
        now = time.monotonic()
        busy = {
            way: seconds + (now - self.since[way] if self.pending[way] and self.active else 0.0)
            for way, seconds in self.busy.items()
        }
        return {**super().stats(), "bytes": self.bytes, "busy": busy}


class Sliced(Later):
    """Small pieces, with a pause before each but the first."""

    def feed(self, data):
        now = time.monotonic()
        due = max(self.waiting[-1][0] + self.fault.pause, now) if self.waiting else now
        self.fault.chunks += 1
        for begin in range(0, len(data), self.fault.size):
            self.put(data[begin : begin + self.fault.size], due)
            due += self.fault.pause


class Slicing(ProxyFault):
    """Bytes arrive in small pieces."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.size, self.pause = order["size"], order["pause"]
        self.chunks, self.pieces, self.bytes = 0, 0, 0

    def stages(self, connection):
        return Sliced(self, connection.up), Sliced(self, connection.down)

    def passed(self, stage, data, seconds):
        if self.active:
            self.pieces += 1
            self.bytes += len(data)

    def stats(self):
        return {**super().stats(), "chunks": self.chunks, "pieces": self.pieces, "bytes": self.bytes}


KINDS = {"latency": Latency, "bandwidth": Bandwidth, "slicing": Slicing}

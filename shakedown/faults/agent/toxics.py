"""What a connection through the proxy can suffer, byte by byte. Each is a fault of the agent (see proxy.py)."""

import asyncio
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
        self.random = random.Random(f"{order.get('seed', 0)}:jitter")
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


KINDS = {"latency": Latency}

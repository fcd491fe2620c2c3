"""The transparent proxy: connections to some ports are redirected here, and what goes through them can be disturbed."""

import asyncio
import random
import socket
import struct
import time

PROXY_PORT = 15999
SO_ORIGINAL_DST = 80
CHUNK = 65536
LIMIT = 64  # chunks waiting in one direction before the sender has to wait


class Latency:
    """Every byte later. Connections that are still open when the fault ends go on without delay."""

    def __init__(self, agent, order):
        self.agent, self.order = agent, order
        self.rules = agent.rules(order)

    async def start(self):
        proxy = self.agent.proxy
        await proxy.start()
        proxy.latency, proxy.jitter = self.order["latency"], self.order["jitter"]
        for port in self.order["ports"]:
            match = ["!", "-i", "lo", "-p", "tcp", "--dport", str(port)]
            self.rules.add("nat", "PREROUTING", match, ["REDIRECT", "--to-ports", str(PROXY_PORT)])
            # A connection that is open already is not redirected; it is reset once, so that none goes round the proxy.
            self.rules.add("filter", "INPUT", match, ["REJECT", "--reject-with", "tcp-reset"])

    def stop(self):
        self.agent.proxy.latency = self.agent.proxy.jitter = 0.0
        self.rules.remove()

    def stats(self):
        proxy = self.agent.proxy
        return {
            "connections": proxy.connections,
            "open": proxy.open,
            "chunks": proxy.chunks,
            "delay": proxy.delay_sum / proxy.chunks if proxy.chunks else 0.0,
        }


class Proxy:
    """Hands every byte on."""

    def __init__(self):
        self.latency = self.jitter = 0.0
        self.connections = self.open = self.chunks = self.cut = 0
        self.delay_sum = 0.0
        self.server = None

    async def start(self):
        """Listen on every address of the namespace."""
        if self.server is None:
            self.server = await asyncio.start_server(self.serve, "0.0.0.0", PROXY_PORT)

    async def serve(self, reader, writer):
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
        port, address = struct.unpack("!2xH4s8x", raw)
        self.connections += 1
        self.open += 1
        try:
            up_reader, up_writer = await asyncio.open_connection(socket.inet_ntoa(address), port)
        except OSError:
            self.cut += 1
            writer.transport.abort()
            self.open -= 1
            return
        for each in (writer, up_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(self.pump(reader, up_writer), self.pump(up_reader, writer))
        except OSError:
            pass
        finally:
            for each in (writer, up_writer):
                each.close()
            self.open -= 1

    async def pump(self, reader, writer):
        """One direction: chunks wait in order, each until it is due."""
        queue = asyncio.Queue(LIMIT)

        async def read():
            while True:
                data = await reader.read(CHUNK)
                now = time.monotonic()
                extra = self.jitter * (2 * random.random() - 1)
                await queue.put((now, now + max((self.latency + extra) / 2, 0.0), data))
                if not data:
                    return

        async def write():
            while True:
                came, due, data = await queue.get()
                while time.monotonic() < due and self.latency:
                    await asyncio.sleep(min(due - time.monotonic(), 0.05))
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                if self.latency:
                    self.chunks += 1
                    self.delay_sum += time.monotonic() - came
                writer.write(data)
                await writer.drain()

        await asyncio.gather(read(), write())

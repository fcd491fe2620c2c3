"""HTTP faults in the agent's own proxy, here on loopback: many connections, and faults that begin and end meanwhile."""

import asyncio
import types

import pytest

from tests.unit.faults.http_agent import agent_module, faults

pytestmark = pytest.mark.integration

proxy = agent_module("proxy")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
REQUEST = b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n"


class NoRules:
    """Connections come to the proxy by themselves."""

    timed, closed, uncovered = False, 0, ""

    async def start(self, _):
        """Nothing to start."""

    def redirect(self):
        """Nothing to redirect."""

    def remove(self):
        """Nothing to remove."""


class Service(asyncio.Protocol):
    """Answers every request at once."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def exchange(reader, writer) -> int:
    """One request; the status of an answer that is whole."""
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    assert body in (b"x" * 200, b"busy")
    return int(head[9:12])


def test_faults_begin_and_end_under_load():
    """40 connections, a fault for half of the requests that ends in the middle: every answer whole, each connection goes on, none is left open."""

    async def run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Service, "127.0.0.1", 0)
        target = server.sockets[0].getsockname()
        through = proxy.Proxy()
        through.mark = 0
        port = await through.listen("127.0.0.1", 0, "in", to=lambda: target)
        agent = types.SimpleNamespace(proxy=through, redirects=lambda _: NoRules())
        order = {"tag": "t", "connections": [{"direction": "in"}], "seed": 1, "choice": {"share": 0.5}, "act": "status",
                 "parameters": {"status": 503, "headers": {}, "body": "busy"}}  # fmt: skip
        fault = faults.Http(agent, order)
        await fault.start()
        statuses = []

        async def client():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(60):
                statuses.append(await exchange(reader, writer))
                if len(statuses) == 1200:
                    fault.stop()
            writer.close()

        await asyncio.gather(*(client() for _ in range(40)))
        for _ in range(100):
            if not through.open and len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0.02)
        server.close()
        for one in through.servers:
            one.close()
        return statuses, fault.counted(), through

    statuses, counted, through = asyncio.run(asyncio.wait_for(run(), 30))
    assert len(statuses) == 2400
    assert statuses.count(503) == counted["disturbed"]
    assert 500 <= counted["disturbed"] <= 700
    assert 503 not in statuses[1300:]
    assert (len(through.open), through.held, through.broken) == (0, 0, 0)


def test_a_connection_from_before_starts_anew():
    """A connection that is open in the proxy when the fault begins may be in mid-message: it is reset, and its successor is met."""

    async def run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Service, "127.0.0.1", 0)
        target = server.sockets[0].getsockname()
        through = proxy.Proxy()
        through.mark = 0
        port = await through.listen("127.0.0.1", 0, "in", to=lambda: target)
        agent = types.SimpleNamespace(proxy=through, redirects=lambda _: NoRules())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        before = await exchange(reader, writer)
        order = {"tag": "t", "connections": [{"direction": "in"}], "choice": {}, "act": "status",
                 "parameters": {"status": 503, "headers": {}, "body": "busy"}}  # fmt: skip
        fault = faults.Http(agent, order)
        await fault.start()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await exchange(reader, writer)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        after = await exchange(reader, writer)
        writer.close()
        fault.stop()
        server.close()
        for one in through.servers:
            one.close()
        return before, after

    assert asyncio.run(asyncio.wait_for(run(), 10)) == (200, 503)

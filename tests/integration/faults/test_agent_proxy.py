"""The agent's proxy over loopback, in this process: bytes, ends and back-pressure, with faults that come and go."""

import asyncio
import importlib
import random
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

pytestmark = pytest.mark.integration

AGENT = Path(__file__).parents[3] / "shakedown" / "faults" / "agent"


def agent_module(name: str):
    sys.path.insert(0, str(AGENT))
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(AGENT))
        sys.dont_write_bytecode = written


proxy, redirects, toxics, endings = map(agent_module, ("proxy", "redirects", "toxics", "endings"))


class Agent:
    """As much of an agent as a fault of the proxy needs."""

    def __init__(self):
        self.proxy = proxy.Proxy()
        self.proxy.mark = 0

    def redirects(self, _order):
        return redirects.NoRules()

    def fault(self, kind, **order):
        kinds = {**toxics.KINDS, **endings.KINDS}
        return kinds[kind](
            self, {"tag": f"t{random.random()}", "connections": [{"direction": "in"}], "seed": 1, **order}
        )


@asynccontextmanager
async def standing(handler):
    """A server, and the proxy before it; the agent and the proxy's port."""
    agent = Agent()
    tasks = []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            await handler(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    to = server.sockets[0].getsockname()[:2]
    port = await agent.proxy.listen("127.0.0.1", 0, "in", to=lambda: to)
    try:
        yield agent, port
    finally:
        for connection in list(agent.proxy.open):
            connection.reset()
        for listening in [*agent.proxy.servers, server]:
            listening.close()
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def on_uvloop(test):
    """Run a test's coroutine as the agent runs, for 30 s at most."""

    def run():
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(test(), 30))

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    return run


async def there_and_back(port, data, *, close=True):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send():
        writer.write(data)
        await writer.drain()
        if close:
            writer.write_eof()

    _, got = await asyncio.gather(send(), reader.read() if close else reader.readexactly(len(data)))
    while chunk := (await reader.read() if close else b""):
        got += chunk
    writer.close()
    return got


async def until(condition):
    """Wait for something that is about to happen."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is looked at is not ours to set an event
            await asyncio.sleep(0.01)


@on_uvloop
async def test_every_byte_arrives_in_order():
    """20 MB there and back, with no fault, and with faults that begin and end on the way: not one byte is another."""
    data = random.Random(1).randbytes(20_000_000)
    async with standing(echo) as (agent, port):
        assert await there_and_back(port, data) == data

        async def meddle():
            for number in range(40):
                kind, more = [
                    ("latency", {"latency": 0.02, "jitter": 0.02}), ("bandwidth", {"rate": 200_000_000}),
                    ("slicing", {"size": 50_000, "pause": 0.001}), ("slow-close", {"delay": 0.05}),
                ][number % 4]  # fmt: skip
                fault = agent.fault(kind, **more)
                await fault.start()
                await asyncio.sleep(0.02)
                faults.append(fault)
                if number % 3 == 2:
                    faults.pop(0).stop()
            for fault in faults:
                fault.stop()

        faults: list = []
        got, _ = await asyncio.gather(there_and_back(port, data), meddle())
        assert got == data
        await until(lambda: not agent.proxy.open)
        assert agent.proxy.held == 0
        assert agent.proxy.broken == 0, agent.proxy.last_error


@on_uvloop
async def test_whoever_is_not_read_is_not_waited_for():
    """A client that does not read holds up its server, and not the proxy's memory; with a latency on it too."""
    sent = [0]

    async def pour(reader, writer):
        while sent[0] < 200_000_000:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent[0] += 100_000

    for latency in (None, 0.05):
        sent[0] = 0
        async with standing(pour) as (agent, port):
            if latency:
                await agent.fault("latency", latency=latency).start()
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            before = -1
            while sent[0] != before:
                before = sent[0]
                await asyncio.sleep(0.5)
            assert sent[0] < 60_000_000
            assert agent.proxy.held <= 2 * proxy.HELD_LIMIT
            writer.transport.abort()


@on_uvloop
async def test_a_side_that_ends_may_still_be_told_something():
    """Half-closed: the client says no more, the server answers after that."""

    async def sum_up(reader, writer):
        writer.write(b"%d" % len(await reader.read()))

    async with standing(sum_up) as (agent, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await reader.read() == b"1000"
        writer.close()
        await until(lambda: not agent.proxy.open)


@on_uvloop
async def test_a_server_may_speak_first():
    """A greeting passes before the client said anything; a fault that is there already sees it."""

    async def greet(reader, writer):
        writer.write(b"hello")
        await reader.read()

    async with standing(greet) as (agent, port):
        fault = agent.fault("latency", latency=0.02)
        await fault.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(5) == b"hello"
        assert fault.stats()["chunks"] == 1
        writer.close()


@on_uvloop
async def test_a_server_that_is_not_there():
    """The client is told by RST, and nothing is left."""
    agent = Agent()
    port = await agent.proxy.listen("127.0.0.1", 0, "in", to=lambda: ("127.0.0.1", 1))
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert not agent.proxy.open
    assert agent.proxy.cut == 1
    agent.proxy.servers[0].close()


@on_uvloop
async def test_whoever_calls_the_proxy_itself_is_reset():
    """A connection that was not redirected leads nowhere, least of all back to the proxy."""
    agent = Agent()
    port = await agent.proxy.listen("127.0.0.1", 0, "in")
    agent.proxy.ports = {"in": port}
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert agent.proxy.connections == 1
    agent.proxy.servers[0].close()


@on_uvloop
async def test_faults_on_one_connection_add_up():
    """Latency, slicing and a limit of bytes at once: later, in pieces, and cut to the byte."""

    async def pour(reader, writer):
        await reader.readexactly(1)
        writer.write(b"x" * 1000)
        await writer.drain()
        await reader.read()

    async with standing(pour) as (agent, port):
        latency = agent.fault("latency", latency=0.1)
        slicing = agent.fault("slicing", size=50, pause=0.005)
        limit = agent.fault("data-limit", bytes=500)
        for fault in (latency, slicing, limit):
            await fault.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun = asyncio.get_running_loop().time()
        writer.write(b"?")
        got = await reader.read()
        took = asyncio.get_running_loop().time() - begun
        assert len(got) == 500
        assert took >= 0.1 + 9 * 0.005 - 0.01
        assert latency.stats()["chunks"] >= 2
        assert slicing.stats()["pieces"] > slicing.stats()["chunks"]
        assert limit.stats()["cut"] == 1
        writer.close()


@on_uvloop
async def test_the_lot_falls_as_the_seed_says():
    """The same seed takes the same connections, another one others; the share is about what was asked."""

    async def taken(seed):
        async with standing(echo) as (agent, port):
            fault = agent.fault("latency", latency=0.001, share=0.3, seed=seed)
            await fault.start()
            chosen = []
            for _ in range(60):
                before = fault.taken
                await there_and_back(port, b"x")
                chosen.append(fault.taken > before)
            assert fault.seen == 60
            return chosen

    first, again, other = await taken("a"), await taken("a"), await taken("b")
    assert first == again != other
    assert 8 <= sum(first) <= 30


@on_uvloop
async def test_a_repetition_draws_other_lots():
    """The second fault of an agent draws differently from the first, and the same again in another run."""

    async def draws():
        async with standing(echo) as (agent, _):
            faults = [agent.fault("latency", latency=0.001, seed="a") for _ in range(2)]
            return [[fault.lots.random() for _ in range(5)] for fault in faults]

    first, second = await draws()
    assert first != second
    assert await draws() == [first, second]


@on_uvloop
async def test_jitter_has_the_asked_shape():
    """Chunks' delays vary around the latency: their mean is the latency's half, their spread the jitter's."""
    async with standing(echo) as (agent, port):
        for shape in ("uniform", "normal", "pareto"):
            fault = agent.fault("latency", latency=0.1, jitter=0.02, distribution=shape)
            off = [fault.off() for _ in range(20_000)]
            mean = sum(off) / len(off)
            deviation = (sum((one - mean) ** 2 for one in off) / len(off)) ** 0.5
            assert abs(mean) < 0.001
            assert deviation == pytest.approx(0.02 / 3**0.5 if shape == "uniform" else 0.02, rel=0.3)
            assert (max(off) <= 0.02) == (shape == "uniform")
        assert port


@on_uvloop
async def test_a_fault_that_breaks_breaks_its_connection_alone():
    """An error in a stage ends that connection by RST and is counted; others go on."""

    class Broken(proxy.Stage):
        def feed(self, _data):
            raise RuntimeError("planted")

    class Breaking(proxy.ProxyFault):
        def stages(self, connection):
            return Broken(self, connection.up), None

    async with standing(echo) as (agent, port):
        kept_reader, kept = await asyncio.open_connection("127.0.0.1", port)
        kept.write(b"a")
        assert await kept_reader.readexactly(1) == b"a"
        connections = [{"direction": "out"}]
        fault = Breaking(agent, {"tag": "x", "connections": connections})
        await fault.start()
        kept.write(b"b")
        assert await kept_reader.readexactly(1) == b"b"
        fault.wanted = [("in", frozenset(), frozenset())]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"c")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert fault.stats()["broken"] == 1
        assert "planted" in fault.stats()["last_error"]
        kept.write(b"d")
        assert await kept_reader.readexactly(1) == b"d"
        kept.close()


@on_uvloop
async def test_hooks_of_a_fault_are_called_in_order():
    """Opened, then taken, then over; a fault that ends leaves the connection, and is told so once."""
    calls = []

    class Listening(proxy.ProxyFault):
        def on_open(self, _connection):
            calls.append("open")

        def stages(self, _connection):
            calls.append("stages")
            return None, None

        def on_close(self, _connection):
            calls.append("close")

    async with standing(echo) as (agent, port):
        fault = Listening(agent, {"tag": "x", "connections": [{"direction": "in"}]})
        await fault.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x")
        await reader.readexactly(1)
        assert calls == ["open", "stages"]
        fault.stop()
        assert calls == ["open", "stages", "close"]
        writer.write(b"x")
        await reader.readexactly(1)
        writer.close()
        await until(lambda: not agent.proxy.open)
        assert calls == ["open", "stages", "close"]

"""The agent's HTTP files, which run inside its image, imported from their place; and a connection in memory."""

import asyncio
import importlib
import sys
from pathlib import Path

AGENT = Path(__file__).parents[3] / "shakedown" / "faults" / "agent"


def agent_module(name: str):
    """A module of the agent, which finds its neighbours as it does in the image."""
    sys.path.insert(0, str(AGENT))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(AGENT))


framing = agent_module("http_framing")
relay = agent_module("http_relay")
acts = agent_module("http_acts")
faults = agent_module("http_faults")


class Side:
    """One side of a connection: what it sends is a queue, what it gets is kept."""

    def __init__(self):
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.got = bytearray()
        self.closed = ""  # how it ended: "eof", "close", "abort"; the first that says something
        self.on_write = None

    async def read(self):
        return await self.sent.get()

    def send(self, *chunks: bytes):
        for chunk in chunks:
            self.sent.put_nowait(chunk)

    def write(self, data):
        self.got += data
        if self.on_write is not None:
            self.on_write()

    async def drain(self):
        await asyncio.sleep(0)

    def write_eof(self):
        self.closed = self.closed or "eof"

    def close(self):
        self.closed = self.closed or "close"

    def abort(self):
        self.closed = self.closed if self.closed == "abort" else "abort"


class Service(Side):
    """Answers each request when all of its bytes are there; after the last answer it ends its side if it is to."""

    def __init__(self, exchanges: list[tuple[bytes, list[bytes]]], *, ends: bool = False):
        super().__init__()
        self.exchanges, self.ends, self.needed = list(exchanges), ends, 0
        self.on_write = self.look

    def look(self):
        while self.exchanges and len(self.got) >= self.needed + len(self.exchanges[0][0]):
            request, answer = self.exchanges.pop(0)
            self.needed += len(request)
            self.send(*answer)
            if not self.exchanges and self.ends:
                self.send(b"")


class Counts:
    """A fault's choice and counters without a proxy around them."""

    def __new__(cls, act="status", parameters=None, seed=0, **choice):
        fault = faults.Http.__new__(faults.Http)
        fault.active = True
        fault.prepare({"choice": choice, "act": act, "parameters": parameters or {}, "seed": seed})
        return fault


def through(fault, client_chunks, service, *, until=None, within=2.0):
    """Run one connection; the client's side, the service's side and the relay when it is over.

    Args:
        until: of the client's side: when the client has what it wants, and ends its side.
    """

    async def run():
        client = Side()
        link = relay.Relay(client, service, fault.choose, fault.told, fault.odd)
        serving = asyncio.ensure_future(link.serve())
        for chunk in client_chunks:
            client.send(chunk)
            await asyncio.sleep(0)
        begun, told = asyncio.get_running_loop().time(), False
        while not serving.done() and asyncio.get_running_loop().time() - begun < within:
            if until is not None and not told and until(client):
                client.send(b"")
                service.send(b"")
                told = True
            await asyncio.sleep(0.001)
        assert serving.done(), (bytes(client.got), bytes(service.got))
        await serving
        return client, service, link

    return asyncio.run(run())


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Bytes split at some places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]

"""The agent: works inside one container's network namespace, told what to do by lines of JSON on standard input.

::

    {"id": 1, "do": "inject", "kind": "partition", "tag": "shakedown:…", "deadline": 1790000000.0, …}
    {"id": 2, "do": "stats", "tag": "shakedown:…"}
    {"id": 3, "do": "revert", "tag": "shakedown:…"}

Every fault carries a deadline (seconds since the epoch). The agent takes a fault back at an order to, at its deadline,
at SIGTERM, and when its standard input ends, which is what it sees when whoever gave the orders dies. Rules also carry
the deadline themselves where the kernel knows `-m time`, so that they go inert even if the agent is killed.

A kind of fault is a class: made from the agent and the order, with `start`, `stop` (safe to call twice), `stats`, and
its `rules`. Only packages of the image's distribution: these files are copied into an image of its own.
"""

import asyncio
import json
import logging
import signal
import sys
import time

import uvloop

import calibration
import dns
import echo
import endings
import foreground
import http_faults
import packets
import proxy
import queries
import redirects
import rules
import tls
import toxics

PROTOCOL = 2
LONGEST_ORDER = 8 << 20  # bytes: bodies, certificates and authorities come with orders
KINDS = {**toxics.KINDS, **endings.KINDS, **packets.KINDS, **dns.KINDS, **http_faults.KINDS, **queries.KINDS}


class Agent:
    """Orders in, answers out."""

    def __init__(self, ways=None):
        self.ways = ways  # in the foreground: what it listens at
        self.tool = rules.find_tool() if ways is None else None
        self.timed = rules.supports(self.tool, "-m", "time", "--datestop", "2037-01-01T00:00:00")
        self.proxy = proxy.Proxy()
        self.own_cost = None  # of the proxy, once it was measured
        self.away = False
        self.abilities = {"iptables": self.tool, "time": self.timed, **packets.abilities(self.tool)}
        self.faults = {}  # tag: fault
        self.deadlines = {}  # tag: seconds since the epoch

    def rules(self, order):
        """Rules for the fault of an order."""
        return rules.Rules(self.tool, order["tag"], order["deadline"], self.timed)

    def redirects(self, order):
        """What brings connections to the proxy for the fault of an order."""
        return redirects.Redirects(self, order) if self.ways is None else redirects.NoRules()

    def exemption(self):
        """What leaves the proxy's own connections out of a rule; None when nothing does."""
        if self.away is False:
            self.away = redirects.exemption(self.tool)
        return self.away

    async def order(self, order):
        """Carry one order out."""
        do = order["do"]
        if do == "hello":
            return {"protocol": PROTOCOL, "abilities": self.abilities}
        if do == "inject":
            return await self.inject(order)
        if do == "revert":
            self.revert(order["tag"])
            return {}
        if do == "stats":
            return self.stats(order["tag"])
        if do == "connect":
            return await connect(order)
        if do == "ground":
            return packets.ground()
        if do == "look-up":
            return await dns.resolver_of(self).look_up(order)
        if do == "echo":
            return await echo.measure(order)
        if do == "look-at-tls":
            return await tls.look(self, order)
        if do == "calibrate":
            if self.own_cost is None:
                self.own_cost = await calibration.measure(self.proxy)
            return self.own_cost
        raise ValueError(f"no such order: {do}")

    async def inject(self, order):
        tag = order["tag"]
        fault = KINDS[order["kind"]](self, order)
        self.faults[tag], self.deadlines[tag] = fault, order["deadline"]
        try:
            await fault.start()
        except BaseException:
            self.revert(tag)
            raise
        return {"timed": fault.rules.timed}

    def stats(self, tag):
        fault = self.faults[tag]
        return {"rules": fault.rules.present(), "placed": fault.rules.placed, **fault.stats()}

    def revert(self, tag):
        """Take one fault back; it is kept, so that its figures can still be asked for."""
        self.deadlines.pop(tag, None)
        if tag in self.faults:
            self.faults[tag].stop()

    def revert_all(self):
        for tag in list(self.deadlines):
            self.revert(tag)

    async def watch_deadlines(self):
        while True:
            await asyncio.sleep(0.2)
            for tag, deadline in list(self.deadlines.items()):
                if time.time() > deadline:
                    self.revert(tag)


async def connect(order):
    """Whether a TCP connection can be made from here."""
    begun = time.monotonic()
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(order["host"], order["port"]), order["within"])
        writer.close()
    except (OSError, asyncio.TimeoutError) as error:
        return {"connected": False, "seconds": time.monotonic() - begun, "error": type(error).__name__}
    return {"connected": True, "seconds": time.monotonic() - begun}


async def main(arguments):
    ways = foreground.Ways(arguments) if arguments else None
    agent = Agent(ways)
    loop = asyncio.get_running_loop()
    # Whoever gives the orders takes any word on standard error for the agent's end.
    loop.set_exception_handler(agent.proxy.unexpected)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    ending = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ending.set)
    if ways is not None:
        await ways.open(agent.proxy)
    watching = asyncio.create_task(agent.watch_deadlines())
    lines = asyncio.StreamReader(limit=LONGEST_ORDER)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def serve():
        while True:
            line = await lines.readline()
            if not line:
                if ways is not None and ways.alone:
                    await ending.wait()
                return
            order = json.loads(line)
            try:
                answer = {"id": order["id"], "ok": True, **await agent.order(order)}
            except Exception as error:
                answer = {"id": order["id"], "ok": False, "error": f"{type(error).__name__}: {error}"}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    serving = asyncio.create_task(serve())
    await asyncio.wait([serving, asyncio.create_task(ending.wait())], return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    agent.revert_all()
    if serving.done():
        serving.result()  # what ended it before its time is told on standard error


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(sys.argv[1:]))

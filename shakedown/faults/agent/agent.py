"""The agent: works inside one container's network namespace, told what to do by lines of JSON on standard input.

Every order carries a deadline (seconds since the epoch). The agent takes its rules back at an order to, at the
deadline, at SIGTERM, and when its standard input ends, which is what it sees when whoever gave the orders dies. Rules
also carry the deadline themselves where the kernel knows `-m time`, so that they go inert even if the agent is killed.

Standard library only: this file is copied into an image of its own.
"""

import asyncio
import json
import random
import signal
import socket
import struct
import subprocess
import sys
import time

PROTOCOL = 1
PROXY_PORT = 15999
SO_ORIGINAL_DST = 80
CHUNK = 65536
LIMIT = 64  # chunks waiting in one direction before the sender has to wait


def run(*command):
    """A command's exit code and output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class Rules:
    """Packet rules with a tag, and only those."""

    def __init__(self):
        self.tool = None
        for candidate in ("iptables-nft", "iptables-legacy"):
            code, _ = run(candidate, "-w", "-t", "nat", "-S")
            if code == 0:
                self.tool = candidate
                break
        self.tag = ""
        self.added = []
        self.timed = False

    def begin(self, tag, deadline):
        """Rules added from now on carry this tag and, where the kernel can, this deadline."""
        self.tag, self.timed = tag, False
        stop = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(deadline) + 1))
        self.time = ["-m", "time", "--datestop", stop]
        probe = ["-p", "tcp", "--dport", "1", *self.time, *self.comment(), "-j", "ACCEPT"]
        if run(self.tool, "-w", "-t", "filter", "-A", "INPUT", *probe)[0] == 0:
            run(self.tool, "-w", "-t", "filter", "-D", "INPUT", *probe)
            self.timed = True
        else:
            self.time = []

    def comment(self):
        return ["-m", "comment", "--comment", self.tag]

    def add(self, table, chain, *rule):
        """Insert a rule at the top of a chain."""
        full = [*rule[:-2], *self.time, *self.comment(), *rule[-2:]] if rule[-2] == "-j" else list(rule)
        code, output = run(self.tool, "-w", "-t", table, "-I", chain, *full)
        if code:
            raise RuntimeError(f"{self.tool} -t {table} -I {chain} {' '.join(full)}: {output.strip()}")
        self.added.append((table, chain, full))

    def add_target(self, table, chain, match, target):
        """A rule whose target has options of its own."""
        full = [*match, *self.time, *self.comment(), "-j", *target]
        code, output = run(self.tool, "-w", "-t", table, "-I", chain, *full)
        if code:
            raise RuntimeError(f"{self.tool} -t {table} -I {chain} {' '.join(full)}: {output.strip()}")
        self.added.append((table, chain, full))

    def remove(self):
        """Delete every rule that was added; what is gone already is no error."""
        for table, chain, full in reversed(self.added):
            run(self.tool, "-w", "-t", table, "-D", chain, *full)
        self.added = []

    def present(self):
        """How many rules with the tag there are."""
        count = 0
        for table in ("raw", "mangle", "nat", "filter"):
            count += run(self.tool, "-t", table, "-S")[1].count(self.tag) if self.tag else 0
        return count

    def packets(self):
        """Packets that met a rule with the tag."""
        total = 0
        for table in ("nat", "filter"):
            for line in run(self.tool, "-w", "-t", table, "-L", "-v", "-x", "-n")[1].splitlines():
                if self.tag and self.tag in line:
                    total += int(line.split()[0])
        return total


class Proxy:
    """Hands every byte on, later. Connections that are still open when the fault ends go on without delay."""

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


class Agent:
    """Orders in, answers out."""

    def __init__(self):
        self.rules = Rules()
        self.proxy = Proxy()
        self.deadline = None

    async def order(self, order):
        """Carry one order out."""
        do = order["do"]
        if do == "hello":
            return {"protocol": PROTOCOL, "tool": self.rules.tool}
        if do == "latency":
            return await self.latency(order)
        if do == "partition":
            return self.partition(order)
        if do == "stats":
            return self.stats()
        if do == "connect":
            return await self.connect(order)
        if do == "revert":
            self.revert()
            return self.stats()
        raise ValueError(f"no such order: {do}")

    async def latency(self, order):
        if self.rules.tool is None:
            raise RuntimeError("neither iptables-nft nor iptables-legacy works in this kernel")
        await self.proxy.start()
        self.proxy.latency, self.proxy.jitter = order["latency"], order["jitter"]
        self.begin(order)
        for port in order["ports"]:
            match = ["!", "-i", "lo", "-p", "tcp", "--dport", str(port)]
            self.rules.add_target("nat", "PREROUTING", match, ["REDIRECT", "--to-ports", str(PROXY_PORT)])
            # A connection that is open already is not redirected; it is reset once, so that none goes round the proxy.
            self.rules.add_target("filter", "INPUT", match, ["REJECT", "--reject-with", "tcp-reset"])
        return {"timed": self.rules.timed}

    def partition(self, order):
        if self.rules.tool is None:
            raise RuntimeError("neither iptables-nft nor iptables-legacy works in this kernel")
        self.begin(order)
        for address in order["addresses"]:
            self.rules.add("filter", "INPUT", "-s", address, "-j", "DROP")
            self.rules.add("filter", "OUTPUT", "-d", address, "-j", "DROP")
        return {"timed": self.rules.timed}

    def begin(self, order):
        self.rules.begin(order["tag"], order["deadline"])
        self.deadline = order["deadline"]

    def stats(self):
        proxy = self.proxy
        return {
            "rules": self.rules.present(),
            "packets": self.rules.packets(),
            "connections": proxy.connections,
            "open": proxy.open,
            "chunks": proxy.chunks,
            "delay": proxy.delay_sum / proxy.chunks if proxy.chunks else 0.0,
        }

    async def connect(self, order):
        """Whether a TCP connection can be made from here."""
        begun = time.monotonic()
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(order["host"], order["port"]), order["within"])
            writer.close()
        except (OSError, asyncio.TimeoutError) as error:
            return {"connected": False, "seconds": time.monotonic() - begun, "error": type(error).__name__}
        return {"connected": True, "seconds": time.monotonic() - begun}

    def revert(self):
        self.deadline = None
        self.proxy.latency = self.proxy.jitter = 0.0
        self.rules.remove()

    async def watch_deadline(self):
        while True:
            await asyncio.sleep(0.2)
            if self.deadline is not None and time.time() > self.deadline:
                self.revert()


async def main():
    agent = Agent()
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    watching = asyncio.create_task(agent.watch_deadline())
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def serve():
        while True:
            line = await lines.readline()
            if not line:
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
    agent.revert()


if __name__ == "__main__":
    asyncio.run(main())

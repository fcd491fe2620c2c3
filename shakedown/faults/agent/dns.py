"""DNS faults: the target's queries come to a small resolver here, which answers some in its own way and passes on the rest.

::

    target ──port 53──▶ nat OUTPUT, first rule: REDIRECT ──▶ Resolver at 127.0.0.1:15953 ──▶ answers by itself
                                                                 │ passes on, its sockets marked
                                                                 └──▶ the nameserver of resolv.conf

The rule stands before those by which the engine brings queries for 127.0.0.11 to its own resolver: the first rule of
`nat` that fits decides, and in `filter` port 53 would not be seen any more. A flow that the kernel has met before keeps
its old way whatever `nat` says, so queries get a conntrack zone of their own (`raw`, CT) as long as the fault lasts: in
it every flow is new, and with the rules its memory is gone too. Without CT, sockets that were in use before may escape.

Queries over TLS or HTTPS, and to other ports than 53, are not seen.
"""

import asyncio
import collections
import contextlib
import ipaddress
import random
import secrets
import socket
import struct
import time

import dns_message as wire
import redirects
import rules
from proxy import MARK

PORT = 15953
ZONE = "23820"
AT_ONCE = 1000  # queries under way; more are dropped, as a server under load would
TCP_IDLE = 30.0
UPSTREAM_WITHIN = 8.0
PROBE_WITHIN = 1.0
NAMES_KEPT = 200
SHOWN = 6
SO_MARK = getattr(socket, "SO_MARK", 36)


class Resolver:
    """Listens on the namespace's loopback; stays when a fault is over, for flows that still know the way to it."""

    def __init__(self):
        self.faults = []
        self.own = set()  # source ports of look-ups of ours, which no fault may meet
        self.listening = None
        self.probes = {}  # name: set when a query for it has come here
        self.tasks = set()
        self.servers, self.search = configuration()

    async def start(self):
        if self.listening is not None:
            return
        self.listening = []
        loop = asyncio.get_running_loop()
        for host in ("127.0.0.1", "::1"):
            try:
                await loop.create_datagram_endpoint(lambda: Datagrams(self), local_addr=(host, PORT))
                await asyncio.start_server(self.connection, host, PORT)
            except OSError:
                if host == "127.0.0.1":
                    self.listening = None
                    raise
                continue
            self.listening.append(host)

    def names(self, name):
        """A name, and what it is without the domains that clients append by themselves."""
        yield name
        for domain in self.search:
            if name.endswith(f".{domain}"):
                yield name[: -len(domain) - 1]

    async def answer(self, message, port, over_tcp):
        """The answer to one message; None for no answer at all."""
        query = wire.question(message)
        if query is not None and query.name in self.probes:
            self.probes[query.name].set()
            return wire.answer(message, query, wire.REFUSED)
        if query is not None and port not in self.own:
            for fault in list(self.faults):
                if fault.takes(query):
                    return await fault.act(message, query, port, over_tcp)
        return await self.forward(message, over_tcp)

    async def forward(self, message, over_tcp):
        for server in self.servers:
            try:
                return await asyncio.wait_for(exchange(server, 53, message, over_tcp), UPSTREAM_WITHIN)
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                continue
        return None

    def datagram(self, message, client, transport):
        if len(self.tasks) >= AT_ONCE:
            return

        async def work():
            reply = await self.answer(message, client[1], over_tcp=False)
            if reply is not None:
                transport.sendto(reply, client)

        task = asyncio.ensure_future(work())
        self.tasks.add(task)
        task.add_done_callback(self.done)

    def done(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            for fault in self.faults:
                fault.broken = repr(task.exception())

    async def connection(self, reader, writer):
        try:
            while len(self.tasks) < AT_ONCE:
                size = struct.unpack(">H", await asyncio.wait_for(reader.readexactly(2), TCP_IDLE))[0]
                message = await asyncio.wait_for(reader.readexactly(size), TCP_IDLE)
                reply = await self.answer(message, writer.get_extra_info("peername")[1], over_tcp=True)
                if reply is not None:
                    writer.write(struct.pack(">H", len(reply)) + reply)
                    await writer.drain()
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def probe(self):
        """Whether a query for the namespace's own nameserver comes here."""
        name = f"{secrets.token_hex(8)}.shakedown-probe.invalid"
        self.probes[name] = asyncio.Event()
        try:
            asking = asyncio.ensure_future(
                exchange(self.servers[0], 53, wire.ask(secrets.randbits(16), name, 1), over_tcp=False, mark=0)
            )
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(asking, PROBE_WITHIN)
            return self.probes[name].is_set()
        finally:
            del self.probes[name]

    async def look_up(self, order):
        """What a client in the namespace is told of a name; no fault meets this look-up."""
        kind, begun = wire.TYPES[order.get("type", "A")], time.monotonic()
        message = wire.ask(secrets.randbits(16), order["name"], kind)
        for server in self.servers[:1]:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                reply = await asyncio.wait_for(
                    exchange(server, 53, message, over_tcp=False, mark=0, own=self.own), order["within"]
                )
                told = wire.told(reply)
                if told is not None:
                    return {"told": told[0], "addresses": told[1], "seconds": time.monotonic() - begun}
        return {"told": None, "addresses": [], "seconds": time.monotonic() - begun}


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver):
        self.resolver = resolver

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        self.resolver.datagram(data, client, self.transport)


class Reply(asyncio.DatagramProtocol):
    """Waits for the answer with the query's number."""

    def __init__(self, identity):
        self.identity = identity
        self.future = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, _):
        if data[:2] == self.identity and not self.future.done():
            self.future.set_result(data)

    def error_received(self, error):
        if not self.future.done():
            self.future.set_exception(error)


async def exchange(host, port, message, over_tcp, mark=MARK, own=None):
    """Ask a nameserver; `own` gets the port that is used, for as long as that lasts."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM)
    sock.setblocking(False)
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
    if over_tcp:
        try:
            await loop.sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            writer.write(struct.pack(">H", len(message)) + message)
            size = struct.unpack(">H", await reader.readexactly(2))[0]
            return await reader.readexactly(size)
        finally:
            writer.close()
    sock.connect((host, port))
    source = sock.getsockname()[1]
    if own is not None:
        own.add(source)
    transport, reply = await loop.create_datagram_endpoint(lambda: Reply(message[:2]), sock=sock)
    try:
        transport.sendto(message)
        return await reply.future
    finally:
        transport.close()
        if own is not None:
            own.discard(source)


def configuration():
    """The nameservers and search domains of the namespace's containers: they share one resolv.conf."""
    servers, search = [], []
    with contextlib.suppress(OSError), open("/etc/resolv.conf", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if words[:1] == ["nameserver"] and len(words) > 1:
                servers.append(words[1].partition("%")[0])
            elif words[:1] in (["search"], ["domain"]):
                search = [domain.strip(".").lower() for domain in words[1:] if domain.strip(".")]
    return servers or ["127.0.0.1"], search


def resolver_of(agent):
    """The agent's one resolver."""
    if getattr(agent, "resolver", None) is None:
        agent.resolver = Resolver()
    return agent.resolver


def fits(pattern, name):
    """`*` fits every name, `*.vendor.test` all below vendor.test, anything else itself."""
    return pattern == "*" or (name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern)


def engine_tool(tool):
    """The iptables that has the engine's own rules for 127.0.0.11, which ours must stand before; else the given one."""
    for candidate in ("iptables-nft", "iptables-legacy"):
        code, output = rules.run(candidate, "-w", "-t", "nat", "-S", "OUTPUT")
        if code == 0 and "127.0.0.11" in output:
            return candidate
    return tool


class Ways:
    """The rules of one fault."""

    def __init__(self, agent, order, addresses):
        away = agent.exemption()
        if away is None:
            raise RuntimeError("this kernel has neither `-m mark` nor `-m owner`: queries cannot be redirected")
        self.away, self.seen_by_probe = away, "--mark" in away
        tool = engine_tool(agent.tool)
        timed = (
            agent.timed
            if tool == agent.tool
            else rules.supports(tool, "-m", "time", "--datestop", "2037-01-01T00:00:00")
        )
        self.families = [rules.Rules(tool, order["tag"], order["deadline"], timed)]
        self.notes, self.timed = [], timed
        if redirects.has_ipv6() and "::1" in addresses:
            six = redirects.tool_for_ipv6(tool)
            if six:
                self.families.append(rules.Rules(six, order["tag"], order["deadline"], timed))
            else:
                self.notes.append("this kernel has no ip6tables nat: queries over IPv6 escape")

    def add(self):
        for family in self.families:
            here = [["-p", protocol, "--dport", "53", *self.away] for protocol in ("udp", "tcp")]
            family.add(*(("nat", "OUTPUT", match, ["REDIRECT", "--to-ports", str(PORT)]) for match in here))
            try:
                family.add(*(("raw", "OUTPUT", match, ["CT", "--zone-orig", ZONE]) for match in here))
            except RuntimeError:
                family.added = [one for one in family.added if one[0] != "raw"]
                self.notes.append("this kernel has no CT target: sockets that were in use before may escape")

    def remove(self):
        for family in self.families:
            family.remove()

    @property
    def placed(self):
        return sum(family.placed for family in self.families)

    def present(self):
        return sum(family.present() for family in self.families)


class NoWays:
    """Before there are any."""

    timed, notes, placed = False, (), 0

    def remove(self):
        pass

    def present(self):
        return 0


class Dns:
    """One DNS fault: which queries it takes, and what it counts. What it does with them is a subclass's `act`."""

    def __init__(self, agent, order):
        self.agent, self.order, self.resolver = agent, order, resolver_of(agent)
        self.patterns = [name.lower().strip(".") for name in order.get("names") or ()]
        self.types = {wire.TYPES[name] for name in order.get("records") or ()}
        self.share, self.lots = order.get("share", 1.0), random.Random(str(order.get("seed", 0)))
        self.rules, self.over = NoWays(), asyncio.Event()
        self.told, self.hit, self.passed = collections.Counter(), collections.Counter(), collections.Counter()
        self.way, self.broken = None, ""

    async def start(self):
        await self.resolver.start()
        self.rules = Ways(self.agent, self.order, self.resolver.listening)
        self.rules.add()
        if self.rules.seen_by_probe:
            self.way = await self.resolver.probe()
            if not self.way:
                raise RuntimeError(
                    f"a query for {self.resolver.servers[0]} did not come to the resolver, although the rules stand"
                )
        self.resolver.faults.append(self)

    def stop(self):
        self.rules.remove()
        if self in self.resolver.faults:
            self.resolver.faults.remove(self)
        self.over.set()

    def takes(self, query):
        names = list(self.resolver.names(query.name))
        meant = not self.patterns or any(fits(pattern, name) for pattern in self.patterns for name in names)
        if meant and (not self.types or query.type in self.types) and self.suits(query):
            if self.share >= 1 or self.lots.random() < self.share:
                return True
        self.count(self.passed, query)
        return False

    def suits(self, query):
        return True

    def count(self, counter, query):
        key = f"{query.name or '.'} {query.type_name}"
        counter[key if key in counter or len(counter) < NAMES_KEPT else "others"] += 1

    def say(self, query, what):
        self.count(self.hit, query)
        self.told[what] += 1

    def stats(self):
        return {
            "hit": sum(self.hit.values()), "names": dict(self.hit.most_common(SHOWN)),
            "different": len(self.hit), "told": dict(self.told),
            "passed": sum(self.passed.values()), "others": dict(self.passed.most_common(SHOWN)),
            "notes": list(self.rules.notes), "broken": self.broken,
        }  # fmt: skip


class Code(Dns):
    """Answers with a code and nothing else."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.code = {"NXDOMAIN": wire.NXDOMAIN, "SERVFAIL": wire.SERVFAIL}[order["code"]]

    async def act(self, message, query, port, over_tcp):
        self.say(query, wire.RCODES[self.code])
        return wire.answer(message, query, self.code)


class Silence(Dns):
    """No answer."""

    async def act(self, message, query, port, over_tcp):
        self.say(query, "nothing")
        if over_tcp:  # a connection carries its answers in order, so none comes after this one
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.over.wait(), TCP_IDLE)


class Slow(Dns):
    """The real answer, later. What waits when the fault ends is answered at once."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.latency, self.jitter = order["latency"], order.get("jitter", 0.0)
        self.waits, self.sum, self.longest, self.again, self.unanswered = 0, 0.0, 0.0, 0, 0
        self.pending = collections.Counter()

    async def act(self, message, query, port, over_tcp):
        begun, key = time.monotonic(), (query.name, query.type)
        self.again += self.pending[key] > 0
        self.pending[key] += 1
        wait = self.latency + self.lots.uniform(-self.jitter, self.jitter)
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.over.wait(), max(wait, 0.0))
            waited, ended = time.monotonic() - begun, self.over.is_set()
            reply = await self.resolver.forward(message, over_tcp)
        finally:
            self.pending[key] -= 1
            if not self.pending[key]:
                del self.pending[key]
        if ended:
            return reply
        if reply is None:
            self.unanswered += 1
            return None
        self.waits += 1
        self.sum += waited
        self.longest = max(self.longest, waited)
        told = wire.told(reply)
        self.say(query, told[0] if told else "an answer that cannot be read")
        return reply

    def stats(self):
        return {**super().stats(), "delay": self.sum / self.waits if self.waits else 0.0, "longest": self.longest,
                "again": self.again, "unanswered": self.unanswered, "waiting": sum(self.pending.values())}  # fmt: skip


class WrongAddress(Dns):
    """Another address: for A or AAAA, whichever it is; the other one, and what may carry addresses too, is empty."""

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.address, self.ttl = order["address"], int(order.get("ttl", 0))
        ipaddress.ip_address(self.address)

    def suits(self, query):
        return query.type_name in ("A", "AAAA", "SVCB", "HTTPS")

    async def act(self, message, query, port, over_tcp):
        fits_type = query.type_name == ("AAAA" if ":" in self.address else "A")
        self.say(query, self.address if fits_type else "no address")
        return wire.answer(message, query, wire.NOERROR, [self.address], self.ttl)


KINDS = {"dns-code": Code, "dns-silence": Silence, "dns-slow": Slow, "dns-wrong-address": WrongAddress}

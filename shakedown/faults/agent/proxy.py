"""The proxy: connections come here, and what goes through them can be disturbed.

::

                  flow `up`:   what the client sends
    client ──Side──▶ stage ──▶ stage ──▶──Side── server
           ◀──────── stage ◀── stage ◀────
                  flow `down`: what the server sends

Connections arrive by REDIRECT (the agent in a container: at one port those made to the target, at another those that the
target makes) or by listening in the foreground for one server. With no fault on it, a connection's chunks are written
straight through; no task, no queue. When one side's socket is full, the other side is not read.

A fault that works here is a subclass of `ProxyFault`. Whenever a connection is opened, and for all open ones when the
fault begins, the proxy looks whether the connection belongs to the fault: one of the order's `connections` fits it
(direction, port, address of the other party), and the lot falls on it (`share`; drawn once for each connection, from the
order's `seed`). If so:

    fault.on_open(connection)   a new connection, before the server is called; may `connection.reset()` or keep timers
    fault.stages(connection)    a Stage for each direction, or None: (up, down); also for connections that are open
    fault.on_close(connection)  it is over, whatever ended it
    stage.release()             the fault is over and the connection goes on: hand on, at once, what is held

A `Stage` gets chunks in order by `feed(data)`, and `end()` when the sender has closed its side; it hands on by
`self.next(data)` and `self.next_end()`, now or later, changed, cut or not at all. `self.flow.hold(n)` and
`self.flow.unhold(n)` tell how many bytes wait in it: beyond a limit the sender is not read; `self.flow.block(self)` and
`self.flow.unblock(self)` stop the reading and let it go on for a reason of the stage's own. Stages whose `layer` is lower
stand nearer to the client, in both directions: bytes have layer 0, HTTP has layer 10, so that an answer made by an HTTP
stage is slowed like any other.

Taking over the byte stream: one object makes both stages of a connection and keeps them. Its `up` stage parses requests;
to answer one itself it does not hand it on but calls `down.next(answer)`; to close after that, `down.next_end()`. A stage
with something unfinished when its fault ends returns False from `release()`: it stays in the stream and calls
`self.leave()` when it is done. A stage must expect to begin in mid-stream, on a connection that was open already
(`connection.fresh` is False; `connection.open_at` tells since when).

On a connection: `reset()` (both sides see RST), `close()` (both see an orderly end), `keep(tag)` and `unkeep(tag)` (while kept, the
end of one side is not told to the other), `direction`, `port`, `peer`, `number`, `client.transport`, `server.transport`.
Callbacks are plain functions, called on the loop; they must not block. What one raises ends its connection by RST.
"""

import asyncio
import random
import socket
import struct
import time

PORTS = {"in": 15999, "out": 15998}  # where redirected connections arrive, unless somebody else is there
MARK = 0x5D0C  # on the proxy's own connections, so that they are not redirected again
SO_ORIGINAL_DST = 80
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
DIAL_WITHIN = 30.0
HELD_LIMIT = 4 << 20  # bytes held in one direction of a connection before its sender is not read
HELD_IN_ALL = 48 << 20  # beyond this, every connection gets the little below
HELD_LITTLE = 64 << 10
DIALLING, FULL, HELD = "dialling", "full", "held"  # why a side is not read; a stage may have its own reason: itself


class Stage:
    """What one fault does to one direction of one connection. This one does nothing."""

    layer = 0

    def __init__(self, fault, flow):
        self.fault, self.flow = fault, flow
        self.next = self.next_end = None  # set by the flow

    def feed(self, data):
        self.next(data)

    def end(self):
        self.next_end()

    def release(self):
        return True

    def leave(self):
        """Leave the stream: for a stage whose fault is over."""
        self.flow.remove(self)


class Flow:
    """One direction of a connection: from the source through the stages to the sink."""

    __slots__ = ("blocked", "connection", "ended", "held", "name", "sink", "source", "stages")

    def __init__(self, connection, source, sink, name):
        self.connection, self.source, self.sink, self.name = connection, source, sink, name
        self.stages = []  # the first gets the source's bytes
        self.blocked = set()
        self.held = 0
        self.ended = False
        source.flow, source.other = self, sink

    def link(self):
        """Join what stands in the stream."""
        nodes = [*self.stages]
        for stage, following in zip(nodes, nodes[1:]):
            stage.next, stage.next_end = following.feed, following.end
        if nodes:
            nodes[-1].next, nodes[-1].next_end = self.write, self.finish
        if self.connection.ready:
            self.source.hand_on = nodes[0].feed if nodes else self.write_through()
            self.source.hand_on_end = nodes[0].end if nodes else self.finish

    def write_through(self):
        return self.sink.transport.write if self.sink.transport is not None else self.write

    def write(self, data):
        transport = self.sink.transport
        if transport is not None and not self.ended and not transport.is_closing():
            transport.write(data)

    def finish(self):
        """The source sends no more."""
        if self.ended:
            return
        self.ended = True
        connection, transport = self.connection, self.sink.transport
        if connection.up.ended and connection.down.ended:
            connection.close()
        elif transport is not None and not transport.is_closing():
            transport.write_eof()

    def add(self, stage):
        """Put a stage where its layer says: low layers near the client."""
        self.stages.append(stage)
        self.stages.sort(key=lambda one: one.layer, reverse=self.name == "down")
        self.link()

    def remove(self, stage):
        if stage in self.stages:
            self.stages.remove(stage)
            self.link()
            self.unblock(stage)

    def hold(self, number):
        if self.connection.over:
            return
        self.held += number
        proxy = self.connection.proxy
        proxy.held += number
        if self.held > (HELD_LIMIT if proxy.held < HELD_IN_ALL else HELD_LITTLE):
            self.block(HELD)

    def unhold(self, number):
        if self.connection.over:  # all of it was given back at its end
            return
        self.held -= number
        self.connection.proxy.held -= number
        if HELD in self.blocked and self.held <= HELD_LITTLE:
            self.unblock(HELD)

    def block(self, why):
        """Do not read the source."""
        if not self.blocked:
            transport = self.source.transport
            if transport is not None and not transport.is_closing():
                transport.pause_reading()
        self.blocked.add(why)

    def unblock(self, why):
        if why in self.blocked:
            self.blocked.discard(why)
            transport = self.source.transport
            if not self.blocked and transport is not None and not transport.is_closing():
                transport.resume_reading()


class Side(asyncio.Protocol):
    """The client's or the server's end of a connection."""

    def __init__(self, connection):
        self.connection = connection
        self.transport = None
        self.lost = False
        self.flow = self.other = None  # what this side sends, and to whom
        self.hand_on = self.hand_on_end = None

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.made(self)

    def data_received(self, data):
        try:
            self.hand_on(data)
        except Exception as error:
            self.connection.broken(error)

    def eof_received(self):
        try:
            self.hand_on_end()
        except Exception as error:
            self.connection.broken(error)
        return True  # the other direction may still be in use

    def connection_lost(self, error):
        self.lost = True
        self.connection.lost(self, error)

    def pause_writing(self):
        self.other.flow.block(FULL)

    def resume_writing(self):
        self.other.flow.unblock(FULL)


class Connection:
    """A client's connection and the one that we make to the server for it.

    Attributes:
        direction: `in` (made to the target) or `out` (made by the target).
        port: of the server.
        peer: the other party's address, whichever side it is on.
        fresh: it was opened while the fault in question was there already.
        faults: tag to fault, those that it belongs to.
        state: tag to whatever a fault wants to keep of it.
    """

    def __init__(self, proxy, direction, to=None):
        self.proxy, self.direction, self.to = proxy, direction, to
        self.number = proxy.connections = proxy.connections + 1
        self.ready, self.early = False, []  # what comes before the server is there; None is the end
        self.client, self.server = Side(self), Side(self)
        self.up = Flow(self, self.client, self.server, "up")
        self.down = Flow(self, self.server, self.client, "down")
        self.client.hand_on = self.early.append
        self.client.hand_on_end = lambda: self.early.append(None)
        self.port, self.peer = 0, ""
        self.fresh, self.open_at = True, time.monotonic()
        self.faults, self.state, self.kept = {}, {}, set()
        self.over = False

    def made(self, side):
        if side is not self.client:
            return
        self.proxy.open[self] = None
        self.proxy.loop.create_task(self.dial())

    async def dial(self):
        """Call the server, once the faults have had their say."""
        self.up.block(DIALLING)  # not earlier: uvloop starts to read after `connection_made`, and may read once before this
        try:
            taken = self.client.transport.get_extra_info("socket")
            to = self.to() if self.to else original_destination(taken)
            if self.to is None and to[1] in self.proxy.ports.values():
                raise OSError("somebody called the proxy itself")
            self.port = to[1]
            other = to[0] if self.direction == "out" else self.client.transport.get_extra_info("peername")[0]
            self.peer = plain(other)
            for fault in list(self.proxy.faults):
                if not self.over:
                    fault.meet(self)
            if self.over:
                return
            async with asyncio.timeout(DIAL_WITHIN):
                raw = await self.proxy.connect(to)
            if self.over:
                raw.close()
                return
            self.ready = True
            self.down.link()  # a server may speak first
            await self.proxy.loop.create_connection(lambda: self.server, sock=raw)
        except (OSError, asyncio.TimeoutError):
            self.proxy.cut += 1
            self.reset()
            return
        except Exception as error:
            self.broken(error)
            return
        if self.over:
            abort(self.server.transport, reset=True)
            return
        self.up.link()
        self.fresh = False
        for data in self.early:
            self.client.data_received(data) if data is not None else self.client.eof_received()
        self.up.unblock(DIALLING)

    def enter(self, fault):
        """A fault begins for it."""
        self.faults[fault.tag] = fault
        up, down = fault.stages(self)
        if up is not None:
            self.up.add(up)
        if down is not None:
            self.down.add(down)

    def leave(self, fault):
        """A fault is over, and the connection goes on."""
        if self.faults.pop(fault.tag, None) is None:
            return
        for flow in (self.up, self.down):
            for stage in [one for one in flow.stages if one.fault is fault]:
                try:
                    if stage.release():
                        flow.remove(stage)
                except Exception as error:
                    self.broken(error)
        fault.on_close(self)
        self.state.pop(fault.tag, None)
        self.unkeep(fault.tag)

    def keep(self, tag):
        self.kept.add(tag)

    def unkeep(self, tag):
        self.kept.discard(tag)
        if not self.kept and (self.client.lost or self.server.lost):
            self.reset()

    def lost(self, side, error):
        """One side is gone: by an error, or because both directions ended."""
        if self.over:
            return
        if not self.kept:
            self.reset()

    def close(self):
        """An orderly end, of both sides; what is written already still goes out."""
        self.finish()
        for side in (self.client, self.server):
            if side.transport is not None:
                side.transport.close()

    def reset(self):
        """RST to both sides."""
        self.finish()
        for side in (self.client, self.server):
            abort(side.transport, reset=True)

    def broken(self, error):
        self.proxy.broken += 1
        self.proxy.last_error = f"{type(error).__name__}: {error}"
        self.reset()

    def finish(self):
        if self.over:
            return
        self.over = True
        self.proxy.open.pop(self, None)
        for flow in (self.up, self.down):
            self.proxy.held -= flow.held
            flow.held = 0
        for fault in self.faults.values():
            fault.on_close(self)


class Proxy:
    """Takes connections and hands every byte on."""

    def __init__(self):
        self.loop = None
        self.mark = MARK
        self.servers = []
        self.ports = {}  # direction: where redirected connections arrive
        self.faults = []
        self.open = {}  # connections, in the order of their coming
        self.connections = self.cut = self.broken = self.held = self.begun = 0
        self.last_error = ""

    async def start(self):
        """Take redirected connections, on every address of the namespace."""
        if self.ports:
            return
        ports = {}
        for direction, port in PORTS.items():
            try:
                ports[direction] = await self.listen("0.0.0.0", port, direction)
            except OSError:
                ports[direction] = await self.listen("0.0.0.0", 0, direction)
            try:
                await self.listen("::", ports[direction], direction)
            except OSError:  # a namespace without IPv6
                pass
        self.ports = ports

    async def listen(self, host, port, direction, to=None):
        """Take connections at an address; to what `to()` says, or to where they were meant to go."""
        self.loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind((host, port))
            server = await self.loop.create_server(
                lambda: Connection(self, direction, to).client, sock=sock, backlog=1024
            )
        except OSError:
            sock.close()
            raise
        self.servers.append(server)
        return sock.getsockname()[1]

    async def connect(self, to):
        """A connection of our own, which no rule of ours redirects."""
        host, port = to
        infos = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM) if not is_address(host) else [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, 0, 0, "", (host, port))
        ]
        failure = OSError("no address")
        for family, _, _, _, address in infos:
            raw = socket.socket(family, socket.SOCK_STREAM)
            raw.setblocking(False)
            try:
                if self.mark:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self.mark)
                await self.loop.sock_connect(raw, address)
                return raw
            except OSError as error:
                raw.close()
                failure = error
            except BaseException:
                raw.close()
                raise
        raise failure

    def unexpected(self, _, context):
        """What went wrong in a callback is counted and told with the faults, and not printed."""
        self.broken += 1
        error = context.get("exception")
        self.last_error = f"{type(error).__name__}: {error}" if error else str(context.get("message"))

    def begin(self, fault):
        """A fault begins: for the connections that are open, and for those to come."""
        self.faults.append(fault)
        for connection in list(self.open):
            if connection.port:
                fault.meet(connection)

    def end(self, fault):
        """A fault is over. Connections go on."""
        if fault in self.faults:
            self.faults.remove(fault)
            for connection in list(self.open):
                connection.leave(fault)


class ProxyFault:
    """A fault of the connections through the proxy. `stats` of a subclass adds to what is counted here.

    Of the order: `connections`, a list of {"direction": "in"|"out", "ports": [...], "addresses": [...]}, where an empty
    list is all; `share` (0 to 1); `seed`; `existing` ("reset": connections that are open already and do not come through the
    proxy are reset once, or they would escape; "keep": they are left alone).
    """

    def __init__(self, agent, order):
        self.agent, self.order, self.tag = agent, order, order["tag"]
        self.proxy = agent.proxy
        self.rules = agent.redirects(order)
        self.proxy.begun += 1  # so that a repetition draws other lots, which follow from the same seed
        self.lots = random.Random(f"{order.get('seed', 0)}:{type(self).__name__}:{self.proxy.begun}")
        self.share = order.get("share", 1.0)
        self.wanted = [
            (one["direction"], frozenset(one.get("ports") or ()), frozenset(map(plain, one.get("addresses") or ())))
            for one in order["connections"]
        ]
        self.seen = self.taken = 0
        self.active = False

    # ------------------------------------------------------------------------------------------- for subclasses to have
    def on_open(self, connection):
        """A new connection of this fault; the server is not called yet."""

    def stages(self, connection):
        return None, None

    def on_close(self, connection):
        """A connection of this fault is over, or the fault is over for it."""

    # -------------------------------------------------------------------------------------------------------- the rest
    async def start(self):
        await self.rules.start(self.proxy)
        self.active = True
        self.proxy.begin(self)
        self.rules.redirect()

    def stop(self):
        self.active = False
        self.proxy.end(self)
        self.rules.remove()

    def fits(self, connection):
        return any(
            connection.direction == direction
            and (not ports or connection.port in ports)
            and (not addresses or connection.peer in addresses)
            for direction, ports, addresses in self.wanted
        )

    def meet(self, connection):
        """Look whether a connection belongs to the fault, and begin if so."""
        if not self.fits(connection):
            return
        self.seen += 1
        if self.lots.random() >= self.share:
            return
        self.taken += 1
        if connection.fresh:
            connection.faults[self.tag] = self
            self.on_open(connection)
        if not connection.over:
            connection.enter(self)

    def stats(self):
        return {
            "seen": self.seen,
            "connections": self.taken,
            "open": sum(self.tag in connection.faults for connection in self.proxy.open),
            "reset": self.rules.closed,
            "uncovered": self.rules.uncovered,
            "broken": self.proxy.broken,
            "last_error": self.proxy.last_error,
        }


def original_destination(taken):
    """Where a redirected connection was meant to go."""
    if taken.family == socket.AF_INET6:
        raw = taken.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        port, address = struct.unpack("!2xH4x16s4x", raw)
        return socket.inet_ntop(socket.AF_INET6, address), port
    port, address = struct.unpack("!2xH4s8x", taken.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16))
    return socket.inet_ntoa(address), port


def plain(address):
    """An address as it is compared: no scope, no IPv4 in IPv6's clothes."""
    address = address.partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address


def is_address(host):
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return True
        except OSError:
            continue
    return False


def abort(transport, reset):
    """Close at once; with RST, or as the kernel likes."""
    if transport is None:
        return
    if reset and not transport.is_closing():
        try:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass
    transport.abort()

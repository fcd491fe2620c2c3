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

from connection import HELD_LIMIT, Connection, Stage, plain

__all__ = ["HELD_LIMIT", "MARK", "PORTS", "Connection", "Proxy", "ProxyFault", "Stage", "is_address", "plain"]

PORTS = {"in": 15999, "out": 15998}  # where redirected connections arrive, unless somebody else is there
MARK = 0x5D0C  # on the proxy's own connections, so that they are not redirected again


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
        infos = (
            await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            if not is_address(host)
            else [(socket.AF_INET6 if ":" in host else socket.AF_INET, 0, 0, "", (host, port))]
        )
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


def is_address(host):
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return True
        except OSError:
            continue
    return False

"""A connection through the proxy: its two sides, its two directions, and what stands in them (see proxy.py)."""

import asyncio
import socket
import struct
import time

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

    def farewell(self):
        """The connection is about to be closed in good order: last bytes of one's own."""

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
        host, port: of the server.
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
        self.host, self.port, self.peer = "", 0, ""
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
        self.up.block(
            DIALLING
        )  # not earlier: uvloop starts to read after `connection_made`, and may read once before this
        try:
            taken = self.client.transport.get_extra_info("socket")
            to = self.to() if self.to else original_destination(taken)
            if self.to is None and to[1] in self.proxy.ports.values():
                raise OSError("somebody called the proxy itself")
            self.host, self.port = to[0], to[1]
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
        if not self.over:
            for stage in (*self.up.stages, *self.down.stages):
                stage.farewell()
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

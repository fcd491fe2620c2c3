"""What is done with packets that wait in a queue of ours: changed, doubled, overtaken, late.

Each is made with the order, given its queue, and told of every packet; `figures` says what became of them.
"""

import asyncio
import random
import socket
import struct
import time

COPY_MARK = 0x5D0BB1E  # on copies that we send ourselves, so that they are not copied again
TCP, UDP = 6, 17


def transport(packet):
    """Where the transport's header begins, which transport it is, and where its payload begins."""
    if packet[0] >> 4 == 6:
        begin, protocol = 40, packet[6]
    else:
        begin, protocol = (packet[0] & 15) * 4, packet[9]
        if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:  # a later fragment has no header of its own
            return begin, 0, begin
    if protocol == TCP and len(packet) > begin + 12:
        return begin, protocol, begin + (packet[begin + 12] >> 4) * 4
    return begin, protocol, begin + 8 if protocol == UDP else begin


def flow(packet):
    """What tells one stream of packets from another."""
    begin, protocol, _ = transport(packet)
    ports = bytes(packet[begin : begin + 4]) if protocol in (TCP, UDP) else b""
    return bytes(packet[8:40] if packet[0] >> 4 == 6 else packet[12:20]) + bytes([protocol]) + ports


def flip(packet, rng, fitting):
    """A packet with one bit flipped beyond its headers; in a packet without payload, in the transport's own header.

    `fitting`: its checksum is made to fit, so that the receiver's application gets the wrong byte.
    """
    changed = bytearray(packet)
    begin, protocol, payload = transport(packet)
    first = payload
    if first >= len(changed):
        if fitting:
            return None  # nothing that an application would see
        first = begin + {TCP: 14, UDP: 6}.get(protocol, 0)  # behind the ports: the window, the checksum
    if first >= len(changed) or (fitting and protocol not in (TCP, UDP)):
        return None
    checksum = begin + (16 if protocol == TCP else 6)
    at = rng.randrange(first, len(changed))
    changed[at] ^= 1 << rng.randrange(8)
    if fitting:
        old, new = packet[at], changed[at]
        if (at - begin) % 2 == 0:
            old, new = old << 8, new << 8
        # RFC 1624: HC' = ~(~HC + ~m + m')
        total = (~struct.unpack_from("!H", packet, checksum)[0] & 0xFFFF) + (~old & 0xFFFF) + new
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into("!H", changed, checksum, ~total & 0xFFFF)
    return bytes(changed)


class Corrupt:
    """Every packet that comes leaves with one bit flipped."""

    def __init__(self, order):
        self.rng = random.Random(order.get("seed"))
        self.fitting = order.get("fitting", False)
        self.done = 0

    def packet(self, number, data):
        changed = flip(data, self.rng, self.fitting)
        self.done += changed is not None
        self.queue.accept(number, changed)

    def figures(self):
        return {"done": self.done}

    def stop(self):
        pass


class Duplicate:
    """Every packet of IPv4 that comes leaves twice: the copy goes out of a socket of ours."""

    def __init__(self, order):
        self.done = self.failed = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, COPY_MARK)
        self.socket.setblocking(False)

    def packet(self, number, data):
        self.queue.accept(number)
        if data[0] >> 4 != 4:  # the socket is of IPv4; what was not doubled is not counted as if it were
            self.failed += 1
            return
        try:
            self.socket.sendto(data, (socket.inet_ntoa(data[16:20]), 0))
            self.done += 1
        except OSError:
            self.failed += 1

    def figures(self):
        return {"done": self.done, "failed": self.failed}

    def stop(self):
        self.socket.close()


class Hold:
    """Packets that wait for their time."""

    def __init__(self):
        self.handles = {}
        self.done, self.held_for = 0, 0.0

    def later(self, number, seconds, then=None):
        begun = time.monotonic()

        def go():
            self.handles.pop(number, None)
            self.queue.accept(number)
            self.done += 1
            self.held_for += time.monotonic() - begun
            if then:
                then()

        self.handles[number] = asyncio.get_running_loop().call_later(seconds, go)

    def stop(self):
        for handle in self.handles.values():
            handle.cancel()
        self.handles.clear()


class Delay(Hold):
    """Every packet that comes leaves later."""

    def __init__(self, order):
        super().__init__()
        self.rng = random.Random(order.get("seed"))
        self.latency, self.jitter = order["latency"], order.get("jitter", 0.0)

    def packet(self, number, data):
        self.later(number, max(self.latency + self.jitter * (2 * self.rng.random() - 1), 0.0))

    def figures(self):
        return {"done": self.done, "delay": self.held_for / self.done if self.done else 0.0}


class Reorder(Hold):
    """Every packet comes here; a share of them is held back, so that others of the same stream overtake them."""

    def __init__(self, order):
        super().__init__()
        self.rng = random.Random(order.get("seed"))
        self.share, self.gap = order["share"], order["gap"]
        self.held = {}  # stream: [packets held in it, by number]: how many overtook them
        self.overtaken = 0

    def packet(self, number, data):
        stream = flow(data)
        behind = self.held.get(stream)
        if self.rng.random() < self.share:
            self.held.setdefault(stream, {})[number] = 0

            def then():
                mine = self.held[stream]
                self.overtaken += mine.pop(number) > 0
                if not mine:
                    del self.held[stream]

            self.later(number, self.gap, then)
            return
        for held in behind or ():
            behind[held] += 1
        self.queue.accept(number)

    def figures(self):
        return {"done": self.overtaken, "held": self.done}

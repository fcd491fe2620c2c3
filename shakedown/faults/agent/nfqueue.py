"""Packets that the kernel hands to us (NFQUEUE) and waits for a word on: let through, changed or later.

The kernel's side is a rule `-j NFQUEUE --queue-num N --queue-bypass`: with nobody listening, packets pass. So when the
agent dies, the kernel drops what was waiting and lets everything else through: a dead man's switch.

The protocol is netfilter's over netlink: include/uapi/linux/netfilter/nfnetlink_queue.h.
"""

import asyncio
import errno
import socket
import struct

NETLINK_NETFILTER = 12
SUBSYSTEM = 3 << 8
PACKET, VERDICT, CONFIG = SUBSYSTEM, SUBSYSTEM | 1, SUBSYSTEM | 2
NLMSG_ERROR = 2
REQUEST, ACK = 1, 4
BIND = 1
COPY_PACKET = 2
ATTR_COMMAND, ATTR_PARAMS, ATTR_MAXLEN, ATTR_MASK, ATTR_FLAGS = 1, 2, 3, 4, 5  # of CONFIG
ATTR_HEADER, ATTR_VERDICT, ATTR_PAYLOAD = 1, 2, 10  # of PACKET and VERDICT
FAIL_OPEN = 1  # a full queue lets packets pass
ACCEPT = 1
WAITING = 65536  # packets at most
BUFFER = 16 << 20
AT_ONCE = 64  # messages read before others get their turn
SO_RCVBUFFORCE = 33
NETLINK_NO_ENOBUFS = 5
SOL_NETLINK = 270


def attribute(kind, data):
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def message(kind, queue, attributes, flags=REQUEST, serial=0):
    """One message about a queue."""
    body = struct.pack("!BBH", 0, 0, queue) + attributes
    return struct.pack("=LHHLL", 16 + len(body), kind, flags, serial, 0) + body


def parse(attributes):
    """Attributes by kind."""
    found, at = {}, 0
    while at + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = attributes[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


class Queue:
    """One queue; `on_packet(number, data)` is called with each packet, from its IP header on, and must see to it that
    `accept(number)` is called, sooner or later."""

    def __init__(self, number, on_packet):
        self.number, self.on_packet = number, on_packet
        self.waiting = set()  # numbers of packets without a verdict
        self.came = self.lost = 0
        self.socket = None

    def open(self):
        """Take the queue. OSError: the kernel has none, or somebody else has it."""
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        try:
            self.socket.bind((0, 0))
            self.socket.settimeout(2.0)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
            self.configure(attribute(ATTR_COMMAND, struct.pack("!BBH", BIND, 0, 0)))
            self.configure(attribute(ATTR_PARAMS, struct.pack("!LB", 0xFFFF, COPY_PACKET)))
            self.configure(attribute(ATTR_MAXLEN, struct.pack("!L", WAITING)))
            self.configure(
                attribute(ATTR_MASK, struct.pack("!L", FAIL_OPEN)) + attribute(ATTR_FLAGS, struct.pack("!L", FAIL_OPEN))
            )
        except OSError:
            self.close()
            raise
        self.socket.setblocking(False)

    def configure(self, attributes):
        self.socket.send(message(CONFIG, self.number, attributes, REQUEST | ACK, 1))
        while True:
            data = self.socket.recv(65536)
            _, kind, *_ = struct.unpack_from("=LHHLL", data)
            if kind == NLMSG_ERROR:
                code = -struct.unpack_from("=i", data, 16)[0]
                if code:
                    raise OSError(code, f"NFQUEUE: {errno.errorcode.get(code, code)}")
                return

    def listen(self):
        """From now on packets are handed over as they come."""
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self.read)

    def read(self):
        for _ in range(AT_ONCE):
            try:
                data = self.socket.recv(131072)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            at = 0
            while at + 16 <= len(data):
                length, kind, *_ = struct.unpack_from("=LHHLL", data, at)
                if kind == PACKET:
                    found = parse(data[at + 20 : at + length])
                    number = struct.unpack_from("!L", found[ATTR_HEADER])[0]
                    self.came += 1
                    self.waiting.add(number)
                    self.on_packet(number, found.get(ATTR_PAYLOAD, b""))
                at += (length + 3) & ~3 or len(data)

    def accept(self, number, changed=None):
        """Let a packet through, changed or as it is; once."""
        if number not in self.waiting or self.socket is None:
            return
        self.waiting.discard(number)
        attributes = attribute(ATTR_VERDICT, struct.pack("!LL", ACCEPT, number))
        if changed is not None:
            attributes += attribute(ATTR_PAYLOAD, changed)
        try:
            self.socket.send(message(VERDICT, self.number, attributes))
        except OSError:
            self.lost += 1

    def close(self):
        """Let everything through that waits, and give the queue back; safe to call twice."""
        if self.socket is None:
            return
        for number in sorted(self.waiting):
            self.accept(number)
        try:
            asyncio.get_running_loop().remove_reader(self.socket.fileno())
        except RuntimeError:
            pass
        self.socket.close()
        self.socket = None


def works():
    """Whether this kernel has queues for us."""
    queue = Queue(27999, None)
    try:
        queue.open()
    except OSError:
        return False
    queue.close()
    return True

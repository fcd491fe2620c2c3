"""TLS that ends in the proxy, with the plan's certificate, so that HTTP faults see requests.

::

                    ┌──────── Half ───────┐               ┌──────── Half ───────┐
    client ─ cipher ▶ Decrypting ─ clear ─▶ HTTP stages ──▶ Encrypting ─ cipher ▶ service
           ◀ cipher ─ Encrypting ◀─ clear ─ HTTP stages ◀── Decrypting ◀ cipher ─

The service is spoken to first, under the name that the client gave (SNI); only when its certificate is accepted is ours
shown to the client. With both, HTTP/1.1 is agreed on: a client that offers others alone is left alone, as is whatever is no
TLS. A connection stays so until its end, also after the fault that began it.

The key comes with the order, over standard input: in no file, no environment and no argument of ours, where others could
read it. `ssl` takes keys from files only; so it is written into memory that has no name (memfd), and that is closed at once.
"""

import asyncio
import collections
import os
import ssl
import struct

import proxy

OUTER, INNER = 5, 1000  # between bytes (0) and HTTP (10); nearest to the service
LONGEST_HELLO = 64 * 1024
PROTOCOL = "http/1.1"
HANDSHAKE, CLIENT_HELLO = 22, 1
NAMES, PROTOCOLS = 0, 16  # extensions: RFC 6066, 3; RFC 7301, 3.1
LOOK_WITHIN = 5.0


class Given:
    """What an order says of TLS: what clients are shown, and how the service is known.

    Of the order: `certificate` and `key` (PEM), `ca` (PEM, or none for the machine's own list), `verify` (the chain),
    `names` (that the certificate is for the name called), `server_name` (instead of the one that the client gave).
    """

    def __init__(self, order):
        self.verify, self.names = order.get("verify", True), order.get("names", True)
        self.server_name = order.get("server_name") or ""
        self.to_clients = for_clients(order["certificate"], order["key"])
        self.to_service = {agree: for_service(order, agree) for agree in (True, False)}
        self.ended = self.clear = 0
        self.versions, self.left_alone, self.refused, self.failed = (collections.Counter() for _ in range(4))

    def forget(self):
        """The fault is over: what is still encrypted keeps what it needs."""
        self.to_clients, self.to_service = None, {}

    def stats(self):
        return {
            "ended": self.ended,
            "clear": self.clear,
            "verified": self.verify,
            "versions": dict(self.versions),
            "left_alone": dict(self.left_alone.most_common(5)),
            "refused": dict(self.refused.most_common(5)),
            "failed": dict(self.failed.most_common(5)),
        }


def for_clients(certificate, key):
    """The context in which clients are spoken to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptors = [os.memfd_create("certificate"), os.memfd_create("key")]
    try:
        for descriptor, text in zip(descriptors, (certificate, key)):
            os.write(descriptor, text.encode())
        # A password that is none: without one a protected key would be asked for at a terminal.
        context.load_cert_chain(*(f"/proc/self/fd/{one}" for one in descriptors), password="")
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    context.set_alpn_protocols([PROTOCOL])
    context.num_tickets = 0  # nobody is to come back with a ticket of ours when the service itself answers again
    context.options |= ssl.OP_NO_TICKET
    return context


def for_service(order, agree, names=None):
    """The context in which the service is spoken to; `agree`: on a protocol, as the client wanted to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verify = order.get("verify", True)
    context.check_hostname = verify and (order.get("names", True) if names is None else names)
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if verify and order.get("ca"):
        context.load_verify_locations(cadata=order["ca"])
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the service's own certificate may be given, too
    elif verify:
        context.load_default_certs()
    if agree:
        context.set_alpn_protocols([PROTOCOL])
    return context


class Hello:
    """What a client says first: whom it calls, and what it offers to speak."""

    def __init__(self, body):
        self.name, self.protocols = "", None
        at = 34  # version and random
        at += 1 + body[at]
        at += 2 + struct.unpack_from("!H", body, at)[0]
        at += 1 + body[at]
        end = at + 2 + struct.unpack_from("!H", body, at)[0] if at + 2 <= len(body) else at
        at += 2
        while at + 4 <= end:
            kind, length = struct.unpack_from("!HH", body, at)
            value = body[at + 4 : at + 4 + length]
            at += 4 + length
            if kind == NAMES:
                size = struct.unpack_from("!H", value, 3)[0]
                self.name = value[5 : 5 + size].decode("ascii")
            elif kind == PROTOCOLS:
                self.protocols, place = [], 2
                while place < len(value):
                    self.protocols.append(value[place + 1 : place + 1 + value[place]].decode("latin-1"))
                    place += 1 + value[place]


def read_hello(data):
    """A Hello; None while more bytes are needed; False where it is none."""
    if data[:1] != bytes([HANDSHAKE]) or data[1:2] not in (b"", b"\x03"):
        return False
    message, at = b"", 0
    while at + 5 <= len(data):
        kind, length = data[at], struct.unpack_from("!H", data, at + 3)[0]
        if kind != HANDSHAKE:
            return False
        message += data[at + 5 : at + 5 + length]
        if message and message[0] != CLIENT_HELLO:
            return False
        size = int.from_bytes(message[1:4], "big") if len(message) >= 4 else LONGEST_HELLO
        if len(message) >= 4 + size:
            try:
                return Hello(message[4 : 4 + size])
            except (IndexError, struct.error, UnicodeDecodeError):
                return False
        at += 5 + length
    return None if len(data) < LONGEST_HELLO else False


class Decrypting(proxy.Stage):
    """What comes from one of the two."""

    def __init__(self, half, flow):
        super().__init__(half.whole, flow)
        self.half, self.layer = half, half.layer

    def feed(self, data):
        self.half.came(data)

    def end(self):
        self.half.came_to_an_end()

    def release(self):
        return False  # not before the connection's own end


class Encrypting(Decrypting):
    """What goes to one of the two."""

    def feed(self, data):
        self.half.send(data)

    def end(self):
        self.half.finish()

    def farewell(self):
        self.half.say_goodbye()


class Half:
    """TLS with one of the two."""

    def __init__(self, whole, inward, outward, layer):
        self.whole, self.layer = whole, layer
        self.inward, self.outward = Decrypting(self, inward), Encrypting(self, outward)
        inward.add(self.inward)
        outward.add(self.outward)
        self.tls = None  # an SSLObject, once it has begun
        self.established = self.over = self.said_goodbye = self.ragged = False
        self.waiting, self.finishing = [], False  # clear bytes that came before it was established; and the end

    def begin(self, context, **how):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, **how)

    def came(self, data):
        self.incoming.write(data)
        self.turn()

    def turn(self):
        """Go on with whatever is possible."""
        try:
            if not self.established:
                self.tls.do_handshake()
                self.established = True
                for data in self.waiting:
                    self.tls.write(data)
                self.waiting = []
                self.flush()
                self.whole.established(self)
                if self.finishing:
                    self.finish()
            while not self.over:
                data = self.tls.read(65536)
                if not data:
                    raise ssl.SSLZeroReturnError
                self.inward.next(data)
        except ssl.SSLWantReadError:
            self.flush()
        except ssl.SSLZeroReturnError:  # said goodbye
            self.flush()
            self.over = True
            self.inward.next_end()
        except ssl.SSLError as error:
            self.flush()
            self.whole.broke(self, error)

    def flush(self):
        if self.outgoing.pending:
            self.outward.next(self.outgoing.read())

    def came_to_an_end(self):
        """The connection ended on this side; without a goodbye the other side gets none either."""
        if self.over:
            return
        self.over = True
        if not self.established:
            self.whole.hung_up(self)
            return
        self.ragged = True
        self.inward.next_end()

    def send(self, data):
        if not self.established:
            self.waiting.append(data)
            return
        self.tls.write(data)
        self.flush()

    def finish(self):
        if not self.established:
            self.finishing = True
            return
        if not self.whole.other(self).ragged:
            self.say_goodbye()
        self.outward.next_end()

    def say_goodbye(self):
        if self.said_goodbye or not self.established:
            return
        self.said_goodbye = True
        try:
            self.tls.unwrap()
        except ssl.SSLError:  # it waits for the other side's goodbye, and we do not
            pass
        self.flush()


class ClientHalf(Half):
    """Looks first whether it is TLS at all."""

    begun = b""

    def came(self, data):
        if self.tls is not None:
            return super().came(data)
        self.begun += data
        hello = read_hello(self.begun)
        if hello is not None and self.whole.hello is None:
            self.whole.begin(hello)

    def came_to_an_end(self):
        if self.tls is None and self.whole.hello is None:
            self.whole.leave()
            self.inward.next_end()
            return
        super().came_to_an_end()

    def send(self, data):
        if self.tls is None and self.whole.hello is None:
            self.outward.next(data)  # a service that speaks first: no TLS
        else:
            super().send(data)

    def finish(self):
        if self.tls is None and self.whole.hello is None:
            self.outward.next_end()
        else:
            super().finish()


class ServiceHalf(Half):
    """Is begun when the client's first words are known."""

    def came(self, data):
        self.inward.next(data) if self.tls is None else super().came(data)

    def came_to_an_end(self):
        self.inward.next_end() if self.tls is None else super().came_to_an_end()

    def send(self, data):
        self.outward.next(data) if self.tls is None else super().send(data)

    def finish(self):
        self.outward.next_end() if self.tls is None else super().finish()


class Termination:
    """TLS with both sides of one connection; several faults may want to know of it."""

    def __init__(self, given, connection):
        self.given, self.connection = given, connection
        self.tell = [given]
        self.hello = None
        self.client = ClientHalf(self, connection.up, connection.down, OUTER)
        self.service = ServiceHalf(self, connection.down, connection.up, INNER)

    def other(self, half):
        return self.service if half is self.client else self.client

    def begin(self, hello):
        """The client's first words are there; False: they are none of TLS."""
        if hello is False:
            self.count(lambda given: setattr(given, "clear", given.clear + 1))
            return self.leave()
        if hello.protocols and PROTOCOL not in hello.protocols:
            self.count(lambda given: given.left_alone.update([", ".join(hello.protocols)]))
            return self.leave()
        if not self.given.to_service:  # the fault has ended in the meantime
            return self.leave()
        self.hello = hello
        name = self.given.server_name or hello.name or self.connection.host
        try:
            self.service.begin(self.given.to_service[bool(hello.protocols)], server_hostname=name)
        except ValueError as error:  # no name that there could be
            return self.fail(f"{name}: {error}")
        self.context = self.given.to_clients
        self.service.turn()

    def established(self, half):
        if half is self.service:
            self.client.begin(self.context, server_side=True)
            self.client.came(self.client.begun)
        else:
            version = half.tls.version()
            for given in self.tell:
                given.ended += 1
                given.versions[version] += 1

    def broke(self, half, error):
        words = getattr(error, "verify_message", "") or (error.reason or str(error)).lower().replace("_", " ")
        if half is self.service:
            if getattr(error, "verify_code", 0) == 64 or "IP address mismatch" in words:
                words += " (the client named no server: say `server_name`)"
            return self.fail(words)
        if not half.established:
            self.count(lambda given: given.refused.update([words]))
        self.connection.reset()

    def hung_up(self, half):
        """In the middle of the handshake."""
        if half is self.client and half.tls is not None:
            self.count(lambda given: given.refused.update(["hung up"]))
        self.connection.reset()

    def fail(self, why):
        self.count(lambda given: given.failed.update([why]))
        self.connection.reset()

    def count(self, act):
        for given in self.tell:
            act(given)

    def leave(self):
        """No TLS for us: what came so far, and all that follows, passes."""
        begun, hand_on = self.client.begun, self.client.inward.next
        self.connection.state.pop(Termination, None)
        for half in (self.client, self.service):
            half.inward.leave()
            half.outward.leave()
        if begun:
            hand_on(begun)


def end_in_proxy(given, connection):
    """Have TLS of a new connection end here, or tell somebody else of it where it does so already."""
    whole = connection.state.get(Termination)
    if whole is None:
        connection.state[Termination] = Termination(given, connection)
    elif given not in whole.tell:
        whole.tell.append(given)


async def look(agent, order):
    """What TLS says at some places: for each why the service would not be accepted there; None where it would, or is no TLS."""
    import asyncio

    found = []
    for host, port in order["places"]:
        context = for_service(order, agree=True, names=bool(order.get("server_name")))
        raw, writer = None, None
        try:
            raw = await asyncio.wait_for(agent.proxy.connect((host, port)), LOOK_WITHIN)
            name = order.get("server_name") or order.get("name") or host
            _, writer = await asyncio.wait_for(
                asyncio.open_connection(sock=raw, ssl=context, server_hostname=name), LOOK_WITHIN
            )
            found.append(None)
        except ssl.SSLCertVerificationError as error:
            found.append(error.verify_message)
        except (OSError, asyncio.TimeoutError):  # nobody there, or no TLS: the connections themselves will tell
            found.append(None)
        finally:
            if writer is not None:
                writer.transport.abort()
            elif raw is not None:
                raw.close()
    return {"found": found}

"""One HTTP/1 connection: requests are handed on as they come, answers too, unless a fault has chosen the request.

::

    client ──requests()──▶ service        each request becomes an Exchange, in order, before its bytes go on
    client ◀──answers()─── service        each Exchange gets its answer, in order: the service's, changed, or ours

What no fault chose passes byte for byte. What is no HTTP/1, or becomes something else (upgrade, CONNECT), passes as
bytes. An end is something with `read()` (b"" at the end), `write(data)`, `drain()`, `write_eof()`, `close()` and
`abort()`.
"""

import asyncio
import collections

from http_framing import BODY, END, HEAD, OPAQUE, Answers, Requests

WAITING = 16  # pieces of answers that wait for their turn before the service has to
PIPELINED = 64  # requests without an answer before the client has to wait
UNDECIDED_WITHIN = 2.0  # seconds in which a client must have sent a first line; else it is taken for no HTTP


class Ended(Exception):
    """The service's side ended, or stopped being HTTP, in the middle of an answer."""


class Close(Exception):
    """This connection is to end now."""


class Exchange:
    """A request and what becomes of it.

    Attributes:
        act: what disturbs its answer; None: nothing.
        forward: whether the service gets it.
        whole: set when all of the request is there.
        decided: set when it is known whether the connection stops being HTTP.
    """

    def __init__(self, request, act):
        self.request, self.act = request, act
        self.forward = act is None or act.forward
        self.expects = request.has("expect", "100-continue")
        self.upgrades = request.method == "CONNECT" or request.get("upgrade") is not None
        self.last = request.has("connection", "close") or (
            request.version == "1.0" and not request.has("connection", "keep-alive")
        )
        self.whole, self.decided = asyncio.Event(), asyncio.Event()


class Relay:
    """Serves one connection until it ends.

    Args:
        choose: of a request's Head, the act that is to disturb it, or None.
        told: called with a request's Head and the status that its client got.
        odd: called with a word for what is no HTTP/1.
    """

    def __init__(self, client, service, choose, told, odd):
        self.client, self.service = client, service
        self.choose, self.told, self.odd = choose, told, odd
        self.parser = Answers()
        self.exchanges = collections.deque()  # in the order of their requests; None: from here on bytes only
        self.inbox = collections.deque()  # from the service, b"" at its end
        self.wake, self.space = asyncio.Event(), asyncio.Event()
        self.gone = asyncio.Event()  # the client has ended its side
        self.hurry = asyncio.Event()  # nothing is to be held back any longer
        self.abandoned = False  # whether the connection goes on without us
        self.incoming = Requests()
        self.answering = False
        self.raw = False  # whether this is no HTTP any more
        self.ended = False  # whether the service has ended its side

    async def serve(self):
        """Until both sides have ended, or one of them broke."""
        tasks = [asyncio.ensure_future(each) for each in (self.requests(), self.listen(), self.answers())]
        try:
            # The answers decide when a connection is over; a client that ended its side may still want them.
            pending = set(tasks)
            while tasks[2] in pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        except (OSError, Close):
            pass
        except Exception as error:  # ours, and no reason to let other connections suffer
            self.odd(f"broke: {type(error).__name__}: {error}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not self.abandoned:
                self.client.close()
                self.service.close()

    @property
    def idle(self):
        """Whether no message is under way, nor held in part."""
        between = self.raw or (self.incoming.state == self.incoming.head and self.parser.state == self.parser.head)
        held = self.exchanges or self.inbox or self.incoming.buffer or self.parser.buffer
        return not (self.answering or held or self.ended) and between

    # --------------------------------------------------------------------------------------------- client to service
    async def requests(self):
        parser, exchange = self.incoming, None
        while True:
            event = parser.next()
            if event is None:
                if (data := await self.more(parser)) is None:
                    break
                parser.feed(data)
                continue
            kind, raw, head = event
            if self.raw and kind != OPAQUE:
                parser.opaque("")
            if kind == HEAD and not self.raw:
                exchange = await self.begin(head)
            elif kind == OPAQUE and not self.raw:
                self.odd(parser.why)
                if exchange is not None and not exchange.forward:
                    break  # nobody can say where a request ends that the service never saw
                self.raw = True
                self.exchanges.append(None)
                self.wake.set()
            if exchange is None or exchange.forward or self.raw:
                self.service.write(raw)
                await self.service.drain()
            if kind == END and exchange is not None:
                exchange.whole.set()
                if exchange.upgrades:
                    await exchange.decided.wait()
                exchange = None
        if parser.buffer:  # a head that never ended
            self.service.write(bytes(parser.buffer))
        if exchange is not None:
            exchange.last = True
            exchange.whole.set()
        self.gone.set()
        self.wake.set()
        self.service.write_eof()

    async def more(self, parser):
        """The client's next bytes; None at their end."""
        try:
            if not parser.undecided:
                return await self.client.read() or None
            return await asyncio.wait_for(self.client.read(), UNDECIDED_WITHIN) or None
        except asyncio.TimeoutError:
            parser.opaque("no HTTP")
            return b""
        except OSError:
            self.gone.set()
            raise

    async def begin(self, head):
        while len(self.exchanges) >= PIPELINED:
            self.space.clear()
            await self.space.wait()
        exchange = Exchange(head, self.choose(head))
        self.exchanges.append(exchange)
        self.wake.set()
        return exchange

    # --------------------------------------------------------------------------------------------- service to client
    async def listen(self):
        """Take in what the service sends."""
        while True:
            try:
                data = await self.service.read()
            except OSError:
                data = None  # reset; what came before it still counts
            self.inbox.append(data or b"")
            self.wake.set()
            if not data:
                self.broken = data is None
                return
            while len(self.inbox) > WAITING:
                self.space.clear()
                await self.space.wait()

    broken = False

    async def receive(self):
        """The service's next bytes.

        Raises:
            Ended: there are no more.
        """
        while not self.inbox and not self.ended:
            self.wake.clear()
            await self.wake.wait()
        data = self.inbox.popleft() if self.inbox else b""
        self.space.set()
        if not data:
            self.ended = True
            raise Ended
        return data

    async def event(self):
        """The next event of the service's answers; END may be the end of the stream."""
        while (event := self.parser.next()) is None:
            try:
                self.parser.feed(await self.receive())
            except Ended:
                if (end := self.parser.end()) is not None:
                    return end
                if self.parser.buffer:  # half a head: pass what is there
                    self.client.write(self.parser.take(len(self.parser.buffer)))
                raise
        return event

    async def answers(self):
        try:
            while True:
                while not self.exchanges and not self.inbox:
                    if self.ended:
                        raise Ended
                    self.wake.clear()
                    await self.wake.wait()
                exchange = self.exchanges.popleft() if self.exchanges else None
                self.space.set()
                if exchange is not None:
                    self.answering = True
                    await self.answer(exchange)
                    self.answering = False
                elif self.raw:
                    await self.pump()
                else:  # the service speaks unasked: 408, or the end of an idle connection
                    self.client.write(await self.receive())
                await self.client.drain()
        except Ended:
            if self.broken:
                await self.client.drain()
                self.client.abort()
            else:
                self.client.write_eof()
                # Of bytes only one direction ended; the client may still send what the service wants to read.
                while self.raw and not self.gone.is_set():
                    self.wake.clear()
                    await self.wake.wait()

    async def pump(self, exchange=None):
        """Bytes, until the service ends; `exchange` is the one whose answer said so."""
        self.raw, self.answering = True, False
        self.exchanges.clear()
        if exchange is not None:
            exchange.decided.set()
        while True:
            if self.parser.buffer:
                self.client.write(self.parser.take(len(self.parser.buffer)))
            else:
                self.client.write(await self.receive())
            await self.client.drain()

    async def answer(self, exchange):
        """One exchange's answer."""
        act = exchange.act
        if exchange.forward:
            head = await self.head(exchange)
            if act is None:
                self.client.write(head.raw)
                await self.rest()
                self.told(exchange.request, head.status)
                return
            if not act.replaces:
                await act.change(self, exchange, head)
                return
            await self.discard()
        elif not exchange.expects:
            await exchange.whole.wait()
        await act.answer(self, exchange)
        exchange.decided.set()
        if exchange.last or exchange.expects:
            raise Close

    async def head(self, exchange):
        """The head of the final answer; does not return when the connection becomes something else."""
        self.parser.method = exchange.request.method
        while True:
            kind, raw, head = await self.event()
            if kind == OPAQUE:
                self.client.write(raw)
                self.odd(f"answer: {self.parser.why}")
                await self.pump(exchange)
            if kind == END:  # of an interim answer
                continue
            if head.status == 101 or (exchange.request.method == "CONNECT" and 200 <= head.status < 300):
                self.client.write(raw)
                self.told(exchange.request, head.status)
                self.odd("upgraded")
                await self.pump(exchange)
            if head.status >= 200:
                exchange.decided.set()
                return head
            self.client.write(raw)
            await self.client.drain()

    @property
    def length(self):
        """Of the body that comes: bytes, "chunked", or None where it ends with the connection."""
        return "chunked" if self.parser.state == self.parser.chunk_size else self.parser.left

    async def body(self):
        """(raw, payload) of the answer under way, piece by piece."""
        while True:
            kind, raw, payload = await self.event()
            if kind == END:
                return
            if kind == OPAQUE:
                self.client.write(raw)
                self.odd(f"answer: {self.parser.why}")
                await self.pump()
            yield raw, payload

    async def rest(self):
        """Pass the rest of the answer."""
        async for raw, _ in self.body():
            self.client.write(raw)
            if not self.parser.buffer:
                await self.client.drain()

    async def discard(self):
        """Take the rest of the answer and give it to nobody."""
        async for _ in self.body():
            pass

"""Where HTTP/1 messages begin and end in a stream of bytes, without changing one of them.

Put together, the raw bytes of all events are the input, byte for byte. Whatever cannot be read with certainty (no HTTP
at all, lengths that contradict each other, a head without an end) is `OPAQUE`: from there on the stream is bytes only.
RFC 9112 says what a message is.
"""

import re

HEAD, BODY, END, OPAQUE = "head", "body", "end", "opaque"

HEAD_LIMIT = 256 * 1024  # bytes of a head, after which it is taken for endless
LINE_LIMIT = 16 * 1024  # bytes of a request line, of a chunk's size line, of a trailer
METHOD_LIMIT = 32

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(%s) ([^\s]+) HTTP/(1\.[01])" % TOKEN)
STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: (.*))?", re.DOTALL)
FIELD = re.compile(rb"(%s):[ \t]*(.*)" % TOKEN, re.DOTALL)
HEAD_END = re.compile(rb"\n\r?\n")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


class Head:
    """The start line and the fields of a message, and the bytes they came in."""

    __slots__ = ("fields", "matched", "method", "raw", "reason", "status", "target", "version")

    def __init__(self, raw, version, fields, method="", target="", status=0, reason=b""):
        self.raw, self.version, self.fields = raw, version, fields
        self.method, self.target, self.status, self.reason = method, target, status, reason
        self.matched = False  # for whoever chooses among requests

    def get(self, name):
        """A field's value; of several, as one list; None when it is not there."""
        found = [value for key, value in self.fields if key == name]
        return ", ".join(found) if found else None

    def has(self, name, token):
        """Whether a field that is a list has an item."""
        return token in [item.strip().lower() for item in (self.get(name) or "").split(",")]

    @property
    def path(self):
        """The target without a host and without the query."""
        target = self.target
        if "://" in target[:16]:
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        return target.partition("?")[0]


class Malformed(ValueError):
    """Not HTTP/1, or not with certainty; the words say what."""


class Messages:
    """Feed it bytes, take events: (HEAD, raw, Head), (BODY, raw, payload), (END, b"", None), (OPAQUE, raw, why)."""

    def __init__(self):
        self.buffer = bytearray()
        self.searched = 0  # how far no end of a head was found
        self.early = False  # whether the first line has been looked at whole
        self.state = self.head
        self.left = 0  # bytes of the body or chunk that are still to come; None: until the stream ends
        self.why = ""

    def feed(self, data):
        self.buffer += data

    def take(self, count):
        raw = bytes(self.buffer[:count])
        del self.buffer[:count]
        self.searched = 0
        return raw

    def next(self):
        """The next event; None when more bytes are needed."""
        try:
            return self.state()
        except Malformed as error:
            self.opaque(str(error))
            return self.state()

    def opaque(self, why):
        """From here on everything is bytes."""
        self.why, self.state = self.why or why, self.bytes_only

    def end(self):
        """The stream has ended: END if that ends the message, else None."""
        if self.state == self.body and self.left is None and not self.buffer:
            self.state = self.head
            return END, b"", None
        return None

    @property
    def undecided(self):
        """Whether bytes are held back of which it cannot even be said that they are HTTP."""
        return self.state == self.head and bool(self.buffer) and b"\n" not in self.buffer

    def bytes_only(self):
        return (OPAQUE, self.take(len(self.buffer)), self.why) if self.buffer else None

    # ------------------------------------------------------------------------------------------------------------ heads
    def head(self):
        if not self.buffer:
            return None
        start = 0
        while self.buffer[start : start + 1] in (b"\r", b"\n"):  # empty lines before a message: RFC 9112, 2.2
            start += 1
        if start > LINE_LIMIT:
            raise Malformed("no HTTP")
        if not self.early:
            begun = bytes(self.buffer[start : start + LINE_LIMIT + 1])
            self.look_early(begun)
            self.early = b"\n" in begun
        found = HEAD_END.search(self.buffer, max(self.searched - 3, start))
        if found is None:
            self.searched = len(self.buffer)
            if len(self.buffer) > HEAD_LIMIT:
                raise Malformed("a head without an end")
            return None
        if found.end() > HEAD_LIMIT:
            raise Malformed("a head without an end")
        first, *lines = bytes(self.buffer[start : found.start()]).split(b"\n")
        fields = []
        for line in lines:
            field = FIELD.fullmatch(line.removesuffix(b"\r"))
            if field is None:
                raise Malformed("a header that is none")
            fields.append((field[1].decode("latin-1").lower(), field[2].rstrip(b" \t").decode("latin-1")))
        head = self.first_line(first.removesuffix(b"\r"), fields)
        self.left, self.state = self.framing(head)
        head.raw, self.early = self.take(found.end()), False
        return HEAD, head.raw, head

    def length(self, head):
        """(Is it chunked, its length); the length is None where the head does not say."""
        coding, length = head.get("transfer-encoding"), head.get("content-length")
        if coding is not None:
            if length is not None:
                raise Malformed("two lengths")
            return coding.lower().strip() == "chunked", None
        if length is None:
            return False, None
        values = {value.strip() for value in length.split(",")}
        if len(values) != 1 or not re.fullmatch("[0-9]{1,18}", value := values.pop()):
            raise Malformed("a length that is none")
        return False, int(value)

    # ----------------------------------------------------------------------------------------------------------- bodies
    def finished(self):
        self.state = self.head
        return END, b"", None

    def body(self):
        if self.left == 0:
            return self.finished()
        if not self.buffer:
            return None
        raw = self.take(len(self.buffer) if self.left is None else self.left)
        if self.left is not None:
            self.left -= len(raw)
        return BODY, raw, raw

    def line(self):
        """A line with its end, or None while it has none."""
        end = self.buffer.find(b"\n", 0, LINE_LIMIT)
        if end < 0:
            if len(self.buffer) >= LINE_LIMIT:
                raise Malformed("a chunk that is none")
            return None
        return bytes(self.buffer[: end + 1])

    def chunk_size(self):
        line = self.line()
        if line is None:
            return None
        size = CHUNK_SIZE.fullmatch(line.rstrip(b"\r\n"))
        if size is None:
            raise Malformed("a chunk that is none")
        self.left = int(size[1], 16)
        self.state = self.chunk if self.left else self.trailer
        return BODY, self.take(len(line)), b""

    def chunk(self):
        if self.left == 0:
            line = self.line()
            if line is None:
                return None
            if line not in (b"\r\n", b"\n"):
                raise Malformed("a chunk longer than it says")
            self.state = self.chunk_size
            return BODY, self.take(len(line)), b""
        if not self.buffer:
            return None
        raw = self.take(self.left)
        self.left -= len(raw)
        return BODY, raw, raw

    def trailer(self):
        line = self.line()
        if line is None:
            return None
        if line in (b"\r\n", b"\n"):
            self.state = self.finished
        return BODY, self.take(len(line)), b""


class Requests(Messages):
    """What a client sends."""

    def look_early(self, begun):
        """A protocol that is not HTTP must not wait for the end of a head that never comes."""
        if not begun:
            return
        if begun[0] == 0x16 and begun[1:2] in (b"", b"\x03"):
            raise Malformed("TLS")
        line, newline, _ = begun.partition(b"\n")
        if line.startswith(b"PRI * HTTP/2"):
            raise Malformed("HTTP/2")
        if newline:
            if not REQUEST_LINE.fullmatch(line.removesuffix(b"\r")):
                raise Malformed("no HTTP")
            return
        method = re.match(TOKEN, line)
        if method is None or method.end() > METHOD_LIMIT or line[method.end() : method.end() + 1] not in (b"", b" "):
            raise Malformed("no HTTP")
        if len(begun) > LINE_LIMIT:
            raise Malformed("a request line without an end")

    def first_line(self, line, fields):
        found = REQUEST_LINE.fullmatch(line)
        if found is None:
            raise Malformed("no HTTP")
        method, target, version = (part.decode("latin-1") for part in found.groups())
        return Head(b"", version, fields, method=method, target=target)

    def framing(self, head):
        chunked, length = self.length(head)
        if chunked:
            return 0, self.chunk_size
        if head.get("transfer-encoding") is not None:
            raise Malformed("a transfer coding that is not known")
        return length or 0, self.body


class Answers(Messages):
    """What a server sends; `method` is that of the request that the next answer is to."""

    method = "GET"

    def look_early(self, begun):
        """As with requests."""
        line, newline, _ = begun.partition(b"\n")
        if newline:
            if not STATUS_LINE.fullmatch(line.removesuffix(b"\r")):
                raise Malformed("no HTTP")
        elif not b"HTTP/1.".startswith(line[:7]) or len(begun) > LINE_LIMIT:
            raise Malformed("no HTTP")

    def first_line(self, line, fields):
        found = STATUS_LINE.fullmatch(line)
        if found is None:
            raise Malformed("no HTTP")
        return Head(b"", found[1].decode(), fields, status=int(found[2]), reason=found[3] or b"")

    def framing(self, head):
        if head.status == 101 or (self.method == "CONNECT" and 200 <= head.status < 300):
            self.why = "upgraded"
            return 0, self.bytes_only
        if self.method == "HEAD" or head.status < 200 or head.status in (204, 304):
            return 0, self.body
        chunked, length = self.length(head)
        if chunked:
            return 0, self.chunk_size
        return length, self.body

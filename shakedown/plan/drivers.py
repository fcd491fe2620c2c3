"""What scenarios speak beside HTTP: statements, commands, bytes, messages, and functions of one's own.

==========  ============================================================================
sql         statements and transactions, through an async SQLAlchemy URL
redis       commands and pipelines
tcp         bytes out, an answer that ends as said
websocket   messages out and in, pings
python      a function, each of its operations measured by a name
==========  ============================================================================

Texts that are templates know the names of all load templates (uuid, randint, choice, now, row, iteration, vu).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.executors import Pause
from shakedown.plan.templates import is_constant
from shakedown.plan.values import Duration, Name, Size

__all__ = [
    "Expect",
    "Operation",
    "Python",
    "Redis",
    "RedisOperation",
    "Sql",
    "SqlOperation",
    "Statement",
    "Tcp",
    "TcpOperation",
    "Via",
    "Websocket",
    "WebsocketOperation",
    "Write",
]

Mode = Literal["sequence", "weighted"]  # all operations in order each iteration, or one drawn by weight
Connection = Literal["keep", "iteration"]  # a user keeps its connection, or makes a new one for each iteration
ANSWER_LIMIT = 16 * 1024 * 1024
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_ASYNC_URL = re.compile(r"[a-z]\w*\+\w+://", re.ASCII)


class Operation(PlanModel):
    """What one operation of any driver has.

    Attributes:
        timeout: from its begin (waiting for a connection included) to the whole answer.
        checks: see `plan.driver_checks`; with none, whatever is no error is right.
        tags: what thresholds can pick operations by.
        think_time: the user's pause after it, before the next one of the sequence.
    """

    name: Name
    weight: float = Field(default=1.0, gt=0)
    timeout: Duration = Field(default=10.0, gt=0)
    checks: list[str] = []
    tags: dict[Name, str] = {}
    think_time: Pause | None = None


class Write(Operation):
    """An operation that may be noted in a ledger.

    Attributes:
        key: the ledger's, a template.
        value: what is compared when it is read back, a template; `body` is all that is sent.
        ordered_by: a template: writes with the same text are stored in the order in which they were acknowledged.
        removes: it takes the key away.
    """

    ledger: Name | None = None
    key: str | None = None
    value: str | None = None
    ordered_by: str | None = None
    removes: bool = False


# ------------------------------------------------------------------------------------------------------------------ sql
class Statement(PlanModel):
    """One statement of a transaction; a plain text is a statement without parameters of its own."""

    statement: str = Field(min_length=1)
    parameters: dict[str, object] = {}  # beside those of its operation


_Statement = Annotated[
    Statement, BeforeValidator(lambda value: {"statement": value} if isinstance(value, str) else value)
]


class SqlOperation(Write):
    """One statement, committed by itself, or several as one transaction.

    Attributes:
        statement, transaction: exactly one of them; SQL with parameters as `:name`, never a template.
        parameters: values of the parameters; texts are templates, and one that is a single `{{ … }}` keeps its type.
        key: knows `parameters`; by default the parameter `id`.
    """

    statement: str | None = Field(default=None, min_length=1)
    transaction: list[_Statement] | None = Field(default=None, min_length=1)
    parameters: dict[str, object] = {}

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.statement is None) == (self.transaction is None):
            raise ValueError("a sql operation needs exactly one of statement, transaction")
        return self

    @property
    def statements(self) -> list[Statement]:
        """Its statements, in order, each with all of its parameters."""
        own = [Statement(statement=self.statement)] if self.statement is not None else self.transaction or []
        return [Statement(statement=one.statement, parameters={**self.parameters, **one.parameters}) for one in own]


class Sql(PlanModel):
    """Statements against a database.

    Attributes:
        target: `service.port-name`; `{host}` and `{port}` in the URL then stand for its address. None: the URL says all.
        url: SQLAlchemy's, with an async driver.
        password: put into the URL, so that it needs no quoting there.
        pool: connections that all users of the load share, or one for each user.
    """

    target: str | None = None
    url: str
    password: str | None = None
    pool: Annotated[int, Field(gt=0)] | Literal["per-vu"] = 10
    mode: Mode = "sequence"
    operations: list[SqlOperation] = Field(min_length=1)

    @model_validator(mode="after")
    def _address(self) -> Self:
        if not _ASYNC_URL.match(self.url):
            raise ValueError(
                "not the URL of an async database driver; write postgresql+asyncpg://user@{host}:{port}/name or sqlite+aiosqlite:///file.db"
            )
        if self.target is not None and "{host}" not in self.url:
            raise ValueError("with a target the URL says {host} and {port} where its address belongs")
        if self.target is None and "{host}" in self.url:
            raise ValueError("{host} in the URL needs a `target`, service.port-name")
        return self

    @property
    def secrets(self) -> list[str]:
        """What must never be shown."""
        found = [self.password] if self.password else []
        inside = re.match(r"[^/]*//[^:/@]*:(.*)@", self.url)
        return found + ([inside[1]] if inside else [])

    @property
    def host(self) -> str | None:
        """The host that the URL itself names; None when a target does, or when it is a file."""
        if self.target is not None or self.url.startswith("sqlite"):
            return None
        return urlsplit(self.url).hostname or "localhost"


# ---------------------------------------------------------------------------------------------------------------- redis
Command = Annotated[list[str | int | float], Field(min_length=1)]


class RedisOperation(Write):
    """One command, or several sent at once.

    Attributes:
        command: the command and its arguments, each a template.
        pipeline: commands that are sent together; the reply is the list of theirs.
        atomic: the pipeline is one MULTI … EXEC.
        key: knows `command` (of a pipeline the first one); by default the command's first argument.
    """

    command: Command | None = None
    pipeline: list[Command] | None = Field(default=None, min_length=1)
    atomic: bool = False

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.command is None) == (self.pipeline is None):
            raise ValueError("a redis operation needs exactly one of command, pipeline")
        if self.atomic and self.pipeline is None:
            raise ValueError("`atomic` fits a pipeline alone")
        return self

    @property
    def commands(self) -> list[list[str | int | float]]:
        """Its commands, in order."""
        return [self.command] if self.command is not None else self.pipeline or []


class Redis(PlanModel):
    """Commands to a Redis server; each user has a connection of its own."""

    target: str
    database: int = Field(default=0, ge=0)
    username: str | None = None
    password: str | None = None
    mode: Mode = "sequence"
    operations: list[RedisOperation] = Field(min_length=1)

    @property
    def secrets(self) -> list[str]:
        """What must never be shown."""
        return [self.password] if self.password else []


# ------------------------------------------------------------------------------------------------------------------ tcp
class Expect(PlanModel):
    """How an answer ends; exactly one of `until`, `length`, `regex`, `close`."""

    until: str | None = Field(default=None, min_length=1)  # a delimiter, which belongs to the answer
    length: int | None = Field(default=None, gt=0)  # bytes
    regex: str | None = Field(default=None, min_length=1)  # the answer ends where its first match does
    close: bool = False  # when the server closes the connection

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value.encode())
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"not a regular expression: {value!r}: {error}") from None
        return value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum((self.until is not None, self.length is not None, self.regex is not None, self.close)) != 1:
            raise ValueError("an answer ends in exactly one way: until, length, regex or close")
        return self


class TcpOperation(Write):
    """Bytes out, then an answer, or either alone.

    Attributes:
        send, hex, base64: at most one of them: what is sent, a template.
        key: knows `sent`, the text.
        expect: how the answer ends; None: none is waited for.
    """

    send: str | None = None
    hex: str | None = None
    base64: str | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _form(self) -> Self:
        given = [text for text in (self.send, self.hex, self.base64) if text is not None]
        if len(given) > 1:
            raise ValueError("a tcp operation sends at most one of send, hex, base64")
        if not given and self.expect is None:
            raise ValueError("a tcp operation sends something, expects something, or both")
        if given and is_constant(given[0]):
            self.payload(given[0])
        if self.checks and self.expect is None and any(not check.startswith("latency") for check in self.checks):
            raise ValueError("checks look at an answer: say with `expect` how it ends")
        return self

    @property
    def text(self) -> str | None:
        """What is sent, as the plan has it; None when nothing is."""
        return next((text for text in (self.send, self.hex, self.base64) if text is not None), None)

    def payload(self, rendered: str) -> bytes:
        """The bytes that a rendered text stands for.

        Raises:
            ValueError: it is no hexadecimal, or no Base64.
        """
        try:
            if self.hex is not None:
                return bytes.fromhex(rendered)
            if self.base64 is not None:
                return base64.b64decode(rendered, validate=True)
        except (ValueError, binascii.Error) as error:
            raise ValueError(
                f"no {'hexadecimal' if self.hex is not None else 'Base64'}: {rendered[:60]!r}: {error}"
            ) from None
        return rendered.encode()


class Tcp(PlanModel):
    """Bytes over TCP connections, one for each user.

    Attributes:
        greeting: what the server says first on every new connection; it belongs to connecting.
        tls: with the machine's own authorities; the target's name is checked.
        limit: most bytes of one answer; more are an error.
    """

    target: str
    tls: bool = False
    connection: Connection = "keep"
    greeting: Expect | None = None
    limit: Annotated[Size, Field(gt=0, le=ANSWER_LIMIT)] = 1024 * 1024
    mode: Mode = "sequence"
    operations: list[TcpOperation] = Field(min_length=1)

    @property
    def secrets(self) -> list[str]:
        """What must never be shown."""
        return []


# ------------------------------------------------------------------------------------------------------------ websocket
class WebsocketOperation(Write):
    """A message out and messages in, or a ping.

    Attributes:
        send, json: at most one of them: the message that is sent; texts are templates.
        expect: messages to wait for.
        until: checks; messages are taken until one comes for which all of them hold.
        listen: messages are taken for this long, however many come.
        ping: a ping is sent, and its pong waited for.
        connect: nothing but the connection: measures the handshake, on a new one.
        key: knows `sent`: the text, or the JSON value.
    """

    send: str | None = None
    json_: object | None = Field(default=None, alias="json")
    expect: int | None = Field(default=None, ge=0)
    until: list[str] | None = Field(default=None, min_length=1)
    listen: Duration | None = Field(default=None, gt=0)
    ping: bool = False
    connect: bool = False

    @model_validator(mode="after")
    def _form(self) -> Self:
        sends = self.send is not None or self.json_ is not None
        waits = [self.expect is not None, self.until is not None, self.listen is not None]
        if self.send is not None and self.json_ is not None:
            raise ValueError("a websocket operation sends at most one of send, json")
        if sum(waits) > 1:
            raise ValueError("a websocket operation has at most one of expect, until, listen")
        if (self.ping or self.connect) and (sends or any(waits) or (self.ping and self.connect)):
            raise ValueError("a ping or a connect is an operation by itself")
        if not (sends or any(waits) or self.ping or self.connect):
            raise ValueError("a websocket operation needs one of send, json, expect, until, listen, ping, connect")
        if self.listen is not None and self.listen >= self.timeout:
            raise ValueError("`listen` must be shorter than the operation's timeout")
        return self

    @property
    def messages(self) -> int:
        """Messages to wait for, when neither `until` nor `listen` says otherwise; by default one to each sent."""
        if self.expect is not None:
            return self.expect
        return int(self.send is not None or self.json_ is not None)


class Websocket(PlanModel):
    """Messages over WebSocket connections, one for each user."""

    target: str
    path: str = Field(default="/", pattern="^/")  # a template
    headers: dict[str, str] = {}  # templates
    subprotocols: list[str] = []
    connection: Connection = "keep"
    limit: Annotated[Size, Field(gt=0, le=ANSWER_LIMIT)] = 1024 * 1024
    mode: Mode = "sequence"
    operations: list[WebsocketOperation] = Field(min_length=1)

    @property
    def secrets(self) -> list[str]:
        """What must never be shown."""
        return []


# --------------------------------------------------------------------------------------------------------------- python
class Python(PlanModel):
    """A function that each iteration calls with a `shakedown.user.User`.

    Attributes:
        function: `module:function`, sync (in a thread of the user's own) or async (on the worker's loop).
        path: the folder that modules are looked for in first; it starts from the plan's folder.
        setup, teardown: `module:function`, called once for each user, before its first iteration and at its end.
        operations: the names that it measures; none: the whole call is one operation, called like the function.
        ledgers: of operations, by name: the ledger that notes them; the function gives `measure` the key.
        timeout: how long an operation, or what the function does between two, may take.
        target: `service.port-name`, whose address the user then knows.
    """

    function: str
    path: str = "."
    setup: str | None = None
    teardown: str | None = None
    operations: list[Name] = []
    tags: dict[Name, dict[Name, str]] = {}  # of operations, by name
    ledgers: dict[Name, Name] = {}
    timeout: Duration = Field(default=30.0, gt=0)
    target: str | None = None

    @field_validator("function", "setup", "teardown")
    @classmethod
    def _names_a_function(cls, value: str | None) -> str | None:
        if value is not None and not _FUNCTION.fullmatch(value):
            raise ValueError(f"not a function: {value!r}; write module:function")
        return value

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        if len(set(self.operations)) < len(self.operations):
            raise ValueError("an operation is named twice")
        if strange := sorted(set(self.tags) - {*self.operations, self.own_name}):
            raise ValueError(f"tags of `{strange[0]}`, which is none of the operations")
        if strange := sorted(set(self.ledgers) - set(self.operations)):
            raise ValueError(f"a ledger of `{strange[0]}`, which is none of the operations")
        return self

    @property
    def own_name(self) -> str:
        """The operation that stands for the whole call, and for what fails outside all measured ones."""
        return self.function.rpartition(":")[2].lstrip("_") or "call"

    @property
    def secrets(self) -> list[str]:
        """What must never be shown."""
        return []


# ----------------------------------------------------------------------------------------------------------------- http
class Via(PlanModel):
    """HTTP on another way than version 1.1 straight to the target; it goes through httpx, which is far slower.

    Attributes:
        http_version: 2 is spoken or nothing: by ALPN over TLS, with prior knowledge without.
        proxy: `http://host:port` of a forwarding proxy, on this machine.
    """

    http_version: Literal[1, 2] = 1
    proxy: str | None = None

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        if self.proxy is None and self.http_version == 1:
            raise ValueError("HTTP/1.1 straight to the target needs no `via`; give http_version: 2, or a proxy")
        if self.proxy is not None:
            try:
                parts = urlsplit(self.proxy)
                whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                whole = False
            if not whole or parts.path.strip("/"):
                raise ValueError(f"not a proxy: {self.proxy.rpartition('@')[2]!r}; write http://127.0.0.1:3128")
        return self

    @property
    def secrets(self) -> list[str]:
        """What must never be shown."""
        password = urlsplit(self.proxy or "").password
        return [password] if password else []

    @property
    def notes(self) -> list[str]:
        """What whoever reads a result must be told."""
        way = " through a proxy" if self.proxy is not None else ""
        version = "2" if self.http_version == 2 else "1.1"
        return [
            f"HTTP/{version}{way} is sent by httpx: its ceiling is some hundred requests a second and core, far below that of Shakedown's own HTTP/1.1, and its own time is part of every latency"
        ]

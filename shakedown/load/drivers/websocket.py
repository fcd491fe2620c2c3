"""WebSocket: messages out and in, pings, handshakes, each user over a connection of its own.

Of the messages of one operation only the last is kept, the others are counted.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from shakedown.load import values
from shakedown.load.drivers.operations import OperationsDriver, OperationsVu, Prepared
from shakedown.load.drivers.users import Failure, Iteration, Running, transport_failure
from shakedown.load.notes import note_of
from shakedown.plan.driver_checks import DriverChecks, Facts, compile_driver_checks
from shakedown.plan.drivers import Websocket, WebsocketOperation
from shakedown.records.ledger import LedgerNote

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["WebsocketDriver"]


class PreparedWebsocket(Prepared[WebsocketOperation]):
    """One operation, with what ends its waiting."""

    def __init__(self, plan: WebsocketOperation) -> None:
        tree = values.value(plan.json_) if plan.json_ is not None else None
        text = values.text(plan.send) if plan.send is not None else None

        def render(names: Mapping[str, object]) -> object:
            if tree is not None:
                return json.dumps(tree(names), ensure_ascii=False)
            return text(names) if text is not None else None

        note = note_of(plan, "sent", None, removes=plan.removes)

        def noted(names: Mapping[str, object], made: object) -> LedgerNote:
            assert note is not None  # noqa: S101 - only then it is asked
            return note(names, json.loads(made) if tree is not None and isinstance(made, str) else made, made)

        super().__init__("websocket", plan, render, noted if note is not None else None)
        self.until: DriverChecks | None = compile_driver_checks("websocket", plan.until) if plan.until else None
        looks = self.checks.subjects | (self.until.subjects if self.until is not None else frozenset())
        self.reads_json = "json" in looks


class WebsocketDriver(OperationsDriver[WebsocketOperation]):
    """Where the server is, and the operations."""

    def __init__(self, engine: "Engine", websocket: Websocket) -> None:
        operations = [PreparedWebsocket(operation) for operation in websocket.operations]
        super().__init__(engine, operations, weighted=websocket.mode == "weighted")
        self.websocket = websocket
        address = engine.spec.address
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.base = f"{'wss' if address.tls else 'ws'}://{host}:{address.port}"
        self.path = values.text(websocket.path)
        self.headers = {name: values.text(text) for name, text in websocket.headers.items()}

    def vu(self, number: int) -> "WebsocketVu":
        """A new user."""
        return WebsocketVu(number, self)


class _Connect(connect):
    """A handshake that goes to the target alone."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """A redirect is an answer like any other; it is never followed to somebody else's machine."""
        return exc


class WebsocketVu(OperationsVu[WebsocketOperation]):
    """A user with its connection."""

    driver: WebsocketDriver

    def __init__(self, number: int, driver: WebsocketDriver) -> None:
        super().__init__(number, driver)
        self._connection: ClientConnection | None = None
        self._names: Mapping[str, object] = {}

    async def iterate(self, iteration: Iteration) -> None:
        """The operations of one iteration."""
        self._names = iteration.names
        if self.driver.websocket.connection == "iteration":
            self.close()
        await super().iterate(iteration)
        if self.driver.websocket.connection == "iteration" and not iteration.over:
            self.close()

    async def perform(self, operation: Prepared[WebsocketOperation], payload: object, running: Running) -> int:
        """Send, ping or connect, and take what is to come."""
        assert isinstance(operation, PreparedWebsocket)  # noqa: S101 - the driver made them
        plan, whole = operation.plan, False
        facts, size = Facts(), 0
        if plan.connect:
            self.close()
        connection = self._connection
        try:
            if connection is None or connection.close_code is not None:
                connection = self._connection = await self._connect(running)
            if plan.ping:
                await (await connection.ping())
            elif not plan.connect:
                if payload is not None:
                    await connection.send(cast("str", payload))
                facts, size = await _receive(connection, operation)
            whole = True
        except InvalidStatus as error:
            raise Failure(
                "status", f"the handshake was answered with HTTP {error.response.status_code}", answered=True
            ) from error
        except InvalidHandshake as error:
            raise Failure("protocol", f"no WebSocket handshake: {error}") from error
        except ConnectionClosed as error:
            raise Failure("closed", f"the connection was closed: {error}") from error
        except (WebSocketException, ValueError) as error:
            raise Failure("protocol", f"{type(error).__name__}: {error}") from error
        except (OSError, EOFError) as error:
            raise transport_failure(error) from error
        finally:
            if not whole and connection is not None:
                connection.transport.abort()
                self._connection = None if self._connection is connection else self._connection
        facts.latency = time.monotonic() - running.begun
        operation.judge(facts)
        return size

    async def _connect(self, running: Running) -> ClientConnection:
        driver, names = self.driver, self._names
        running.phase = "connect"
        connection = await _Connect(
            driver.base + driver.path(names).replace(" ", "%20"),
            additional_headers={name: text(names) for name, text in driver.headers.items()},
            subprotocols=[Subprotocol(name) for name in driver.websocket.subprotocols] or None,
            compression=None, proxy=None, open_timeout=None, ping_interval=None, close_timeout=1,
            max_size=driver.websocket.limit, user_agent_header="shakedown",
        )  # fmt: skip
        running.mark_sent()
        return connection

    def abandon(self) -> None:
        """The connection is cut at once: what comes on it belongs to what was given up."""
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None

    def close(self) -> None:
        """Take leave of the server, without waiting for it."""
        if self._connection is not None:
            self.driver.task(self.driver.tidy(self._connection.close()))
            self._connection = None


async def _receive(connection: ClientConnection, operation: PreparedWebsocket) -> tuple[Facts, int]:
    """The messages of an operation: its facts, and the bytes of all of them."""
    plan, number, size = operation.plan, 0, 0
    values: dict[str, object] = {"messages": 0}
    end = time.monotonic() + plan.listen if plan.listen is not None else None
    while True:
        if end is None and operation.until is None and number >= plan.messages:
            break
        try:
            async with asyncio.timeout(end - time.monotonic() if end is not None else None):
                message = await connection.recv()
        except TimeoutError:
            break
        number += 1
        size += len(message) if isinstance(message, bytes) else len(message.encode())
        values = {"messages": number, "message": message, "size": size}
        if operation.reads_json:
            try:
                values["json"] = json.loads(message)
            except (ValueError, RecursionError):
                values.pop("json", None)
        if operation.until is not None and operation.until.failed(Facts(values)) is None:
            break
    return Facts(values), size

"""Orders to an agent inside a container's network namespace, over the agent's own standard input and output.

Whoever can attach to the container can give orders, and nobody else; and when we die the agent sees its input end.
"""

import itertools
import json
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.errors import EngineError, FaultError
from shakedown.guard.undo import ContainerRemove, carry_out
from shakedown.plan.model import Build
from shakedown.services.images import build_image

if TYPE_CHECKING:
    from docker import DockerClient

    from shakedown.faults.base import FaultContext

__all__ = ["AgentLink", "agent_image"]

AGENT = Path(__file__).parent / "agent"
ANSWER_WITHIN = 15.0
_FRAME = struct.Struct(">BxxxL")
_numbers = itertools.count(1)
_building = threading.Lock()


def agent_image(client: "DockerClient") -> str:
    """The agent's image, built if it is not there.

    Raises:
        FaultError: it cannot be built.
    """
    with _building:
        try:
            return build_image(client, AGENT, Build(context=str(AGENT)), lambda _: None)
        except EngineError as error:
            raise FaultError(f"the fault agent's image cannot be built: {error}") from error


class AgentLink:
    """One agent beside one target container."""

    def __init__(self, context: "FaultContext", target: str) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        client = context.client
        container = context.running(target)
        self.image = agent_image(client)
        self._name = f"shakedown-{context.system.run}-agent-{next(_numbers)}"
        self._context = context
        self._intent = context.journal.intend("agent", f"agent {self._name}", ContainerRemove(container=self._name))
        try:
            created = client.containers.create(
                self.image,
                name=self._name,
                stdin_open=True,
                network_mode=f"container:{container.id}",
                cap_drop=["ALL"],
                cap_add=["NET_ADMIN", "NET_RAW"],
                labels={**context.system.labels.of(), "shakedown.agent": target},
                mem_limit="128m",
            )
            self._socket = client.api.attach_socket(
                str(created.id), params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            self._raw = getattr(self._socket, "_sock", self._socket)
            created.start()
        except APIError as error:
            raise FaultError(f"the agent beside `{target}` cannot be started: {error.explanation}") from error
        self._buffer = b""
        self._text = ""  # a line may come in several frames
        self._lines: list[str] = []
        self._serial = itertools.count(1)
        self.tool = str(self.ask("hello")["tool"])

    def ask(self, do: str, **order: object) -> dict[str, Any]:
        """Give an order and wait for the answer.

        Raises:
            FaultError: the agent refused, died, or did not answer in time.
        """
        number = next(self._serial)
        line = json.dumps({"id": number, "do": do, **order}) + "\n"
        until = time.monotonic() + ANSWER_WITHIN
        try:
            self._raw.sendall(line.encode())
            while True:
                answer = json.loads(self._next_line(until))
                if answer.get("id") == number:
                    break
        except (OSError, ValueError) as error:
            raise FaultError(f"the agent does not answer: {error}") from error
        if not answer["ok"]:
            raise FaultError(f"the agent refused `{do}`: {answer['error']}")
        return dict(answer)

    def _next_line(self, until: float) -> str:
        while not self._lines:
            self._raw.settimeout(max(until - time.monotonic(), 0.01))
            data = self._raw.recv(65536)
            if not data:
                raise OSError("the agent ended")
            self._buffer += data
            while len(self._buffer) >= _FRAME.size:
                stream, length = _FRAME.unpack_from(self._buffer)
                if len(self._buffer) < _FRAME.size + length:
                    break
                text = self._buffer[_FRAME.size : _FRAME.size + length].decode(errors="replace")
                self._buffer = self._buffer[_FRAME.size + length :]
                if stream == 1:
                    *lines, self._text = (self._text + text).split("\n")
                    self._lines += lines
                else:
                    raise OSError(f"the agent broke: {text.strip()[-300:]}")
        return self._lines.pop(0)

    def close(self) -> None:
        """Remove the agent.

        Raises:
            GuardError: the engine refuses.
        """
        self._socket.close()
        carry_out(self._intent.undo, self._context.client)
        self._context.journal.strike(self._intent.id)

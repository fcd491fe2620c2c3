"""Agents inside containers' network namespaces, and orders to them over their own standard input and output.

Whoever can attach to the container can give orders, and nobody else; and when we die the agent sees its input end.
There is one agent beside each target, whatever number of faults it carries out; a target that was restarted has a new
namespace, and gets a new one.
"""

import itertools
import json
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.errors import EngineError, FaultError, FaultRefusedError, GuardError
from shakedown.guard.journal import Journal
from shakedown.guard.undo import ContainerRemove, carry_out
from shakedown.plan.services import Build
from shakedown.services import System
from shakedown.services.images import build_image

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["AgentLink", "Agents", "agent_image"]

AGENT = Path(__file__).parent / "agent"
PROTOCOL = 2
ANSWER_WITHIN = 15.0
_FRAME = struct.Struct(">BxxxL")
LOOKS = frozenset({"connect", "echo", "look-up"})  # orders that any agent beside the target can carry out
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
    """One agent beside one target container; safe to use from several threads.

    Attributes:
        image: of the agent.
        namespace: when the target was started; another time is another network namespace.
        abilities: what works in this kernel, as the agent found out: `{"iptables": "iptables-nft", "time": True, …}`.
    """

    def __init__(self, system: System, journal: Journal, target: str, container: "Container") -> None:
        if system.client is None:
            raise FaultRefusedError("this run has no containers: there is no place for an agent")
        self._client = system.client
        self._journal = journal
        self._lock = threading.Lock()
        self.image = agent_image(self._client)
        self.namespace = str(container.attrs["State"]["StartedAt"])
        self._name = f"shakedown-{system.run}-agent-{next(_numbers)}"
        self._intent = journal.intend("agent", f"agent {self._name}", ContainerRemove(container=self._name))
        self._socket: Any = None
        self._buffer = b""
        self._text = ""  # a line may come in several frames
        self._lines: list[str] = []
        self._serial = itertools.count(1)
        self.target = target
        self._beside = (system, container)
        self._dead = False
        self._closed = False
        self._successor: AgentLink | None = None
        try:
            self._begin(system, target, container)
            self.abilities = self._greet()
        except BaseException:
            self.close()  # what there is of it must not stay because the rest did not come
            raise

    def _greet(self) -> dict[str, Any]:
        hello = self.ask("hello")
        if hello["protocol"] != PROTOCOL:
            raise FaultError(f"the agent speaks protocol {hello['protocol']}, not {PROTOCOL}")
        return dict(hello["abilities"])

    def _begin(self, system: System, target: str, container: "Container") -> None:
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        try:
            created = self._client.containers.create(
                self.image,
                name=self._name,
                stdin_open=True,
                user="0:61999",  # by its group the proxy's own connections are known where the kernel has no `-m mark`
                network_mode=f"container:{container.id}",
                cap_drop=["ALL"],
                cap_add=["NET_ADMIN", "NET_RAW"],
                labels={**system.labels.of(), "shakedown.agent": target},
                mem_limit="128m",
            )
            self._socket = self._client.api.attach_socket(
                str(created.id), params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            self._raw = getattr(self._socket, "_sock", self._socket)
            created.start()
        except APIError as error:
            raise FaultError(f"the agent beside `{target}` cannot be started: {error.explanation}") from error

    def ask(self, do: str, **order: object) -> dict[str, Any]:
        """Give an order and wait for the answer.

        Looks around (a connection, an echo) need nothing of what the agent did before: when it has died, a new one
        beside the same target answers them.

        Raises:
            FaultError: the agent refused, died, or did not answer in time.
        """
        if self._dead and do in LOOKS and not self._closed:
            return self._replacement().ask(do, **order)
        number = next(self._serial)
        line = json.dumps({"id": number, "do": do, **order}) + "\n"
        until = time.monotonic() + ANSWER_WITHIN
        try:
            with self._lock:
                self._raw.sendall(line.encode())
                while True:
                    answer = json.loads(self._next_line(until))
                    if answer.get("id") == number:
                        break
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                self._dead = True
                if do in LOOKS and not self._closed:
                    return self._replacement().ask(do, **order)
            raise FaultError(f"the agent does not answer: {error}") from error
        if not answer["ok"]:
            raise FaultError(f"the agent refused `{do}`: {answer['error']}")
        return dict(answer)

    def _next_line(self, until: float) -> str:
        while not self._lines:
            self._raw.settimeout(max(until - time.monotonic(), 0.01))
            data = self._raw.recv(65536)
            if not data:
                raise OSError(f"the agent ended{self._ending()}")
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

    def _ending(self) -> str:
        """How its container ended, as far as the engine can tell."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        try:
            state = self._client.containers.get(self._name).attrs["State"]
        except (APIError, OSError):  # it is removed, or the engine is not there
            return ""
        if state["Running"]:
            return ": the engine closed the way to it"
        memory = " for lack of memory" if state.get("OOMKilled") else ""
        return f" with exit code {state['ExitCode']}{memory}"

    def _replacement(self) -> "AgentLink":
        system, container = self._beside
        with self._lock:
            if self._successor is None:
                self._successor = AgentLink(system, self._journal, self.target, container)
            return self._successor

    def lost(self) -> str | None:
        """Why what it does in the target's namespace has ended before its time; None while it is there."""
        from docker.errors import APIError, NotFound  # noqa: PLC0415 - see guard.engine

        _, container = self._beside
        try:
            state = self._client.containers.get(str(container.id)).attrs["State"]
        except NotFound:
            return f"the container of `{self.target}` was removed meanwhile"
        except APIError as error:
            return f"the engine does not answer: {error.explanation}"
        if not state["Running"]:
            return f"`{self.target}` ended meanwhile, and its network namespace with it"
        if str(state["StartedAt"]) != self.namespace:
            return f"`{self.target}` was started anew meanwhile: its old network namespace is gone, with all that was in it"
        try:
            self.ask("hello")
        except FaultError as error:
            return f"the agent beside `{self.target}` died meanwhile: {error}"
        return None

    def close(self) -> None:
        """Remove the agent.

        Raises:
            GuardError: the engine refuses.
        """
        self._closed = True
        if self._successor is not None:
            self._successor.close()
        if self._socket is not None:
            self._socket.close()
        carry_out(self._intent.undo, self._client)
        self._journal.strike(self._intent.id)


class Agents:
    """The agents of a run, as one fault sees them: it knows which of them this fault asked for."""

    def __init__(self, system: System, journal: Journal) -> None:
        self._system = system
        self._journal = journal
        self._lock = threading.Lock()
        self._links: dict[tuple[str, str], AgentLink] = {}
        self._used: list[AgentLink] = []

    def shared(self) -> "Agents":
        """The same agents for another fault."""
        other = Agents(self._system, self._journal)
        other._lock, other._links = self._lock, self._links
        return other

    def lost(self) -> str | None:
        """Why one of the agents that the fault asked for does not do its work any more; None while all of them do."""
        return next((why for link in self._used if (why := link.lost()) is not None), None)

    def beside(self, target: str, container: "Container") -> AgentLink:
        """The agent in a target's network namespace; started when it is first asked for, or has died.

        Raises:
            FaultError: it cannot be started.
            GuardError: a dead one cannot be removed.
        """
        key = (str(container.id), str(container.attrs["State"]["StartedAt"]))
        with self._lock:
            if key in self._links and self._links[key].lost() is not None:
                self._links.pop(key).close()  # somebody killed it: a new one takes its place
            if key not in self._links:
                self._links[key] = AgentLink(self._system, self._journal, target, container)
            self._used.append(self._links[key])
            return self._links[key]

    def close(self) -> None:
        """Remove them all; connections that still go through a proxy end with it.

        Raises:
            GuardError: the engine refuses; those after it are removed all the same.
        """
        failure: GuardError | None = None
        with self._lock:
            while self._links:
                _, link = self._links.popitem()
                try:
                    link.close()
                except GuardError as error:
                    failure = error
        if failure is not None:
            raise failure

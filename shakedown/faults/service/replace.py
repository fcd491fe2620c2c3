"""service-replace: another image, command or environment runs in the service's place for the hold time.

A container is not changed but put aside: it is stopped, and a second one with its name in the network, its published
ports, volumes, files and limits is started, which stood ready. When the fault ends the second one is removed and the
first one started again: whatever it had written is there. Of a program, the tree is ended and started anew with what
is different, and again without.

::

    service     ── runs ──│ stopped ·······················│── runs, the same container ──
    stand-in    · created ·· │── runs, same name and ports ──│ removed
"""

import contextlib
import itertools
import shlex
import threading
import time
from typing import TYPE_CHECKING

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.service.container import ContainerTarget
from shakedown.faults.service.program import ProgramTarget
from shakedown.faults.service.whole import WholeServiceFault
from shakedown.guard.journal import Intent
from shakedown.guard.undo import ContainerRemove, ContainerStart, Undo, carry_out
from shakedown.plan.faults.service import ServiceReplace
from shakedown.records.experiment import Proof
from shakedown.services.docker import ContainerRunner
from shakedown.services.process import ProcessRunner

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["ReplaceFault"]

PORT_ATTEMPTS = 20
PORT_PAUSE = 0.1
_numbers = itertools.count(1)


class ReplaceFault(WholeServiceFault[ServiceReplace]):
    """The fault."""

    mechanism = (
        "containers: stopped, and a second one with the same network name, published ports, volumes and limits started; "
        "programs: ended, and started with what is different"
    )
    docker_mechanism = "Docker: the container stopped, a second one with its network name, ports and volumes started"
    program_mechanism = "the program's tree ended, and started with what is different"
    proof = "what runs in its place has the image, the command and the variables that were asked for"
    reversal = (
        "the second container removed, the first one started; it runs, with image, environment and limits as before"
    )

    def __init__(self, plan: ServiceReplace, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._own: str | None = None  # the service's own container
        self._stand_in: str | None = None
        self._image = ""
        self._intents: list[Intent] = []
        self._given_up = threading.Event()
        self._swap = threading.Lock()  # an injection that is given up must not put anything in its place any more

    @property
    def parameters(self) -> str:
        """For the report; values may be secret, so variables are only named."""
        plan = self.plan
        parts = [f"image {plan.image}"] if plan.image else []
        parts += ["another command"] if plan.command is not None else []
        parts += ["another entry point"] if plan.entrypoint is not None else []
        parts += [f"other {', '.join(sorted(plan.environment))}"] if plan.environment else []
        return ", ".join(parts)

    def check(self) -> None:
        """It runs, the image is here, and what is to stand in is ready."""
        super().check()
        runner = self.context.system.runner(self.plan.target)
        if isinstance(runner, ContainerRunner):
            self._create(runner)

    def _create(self, runner: ContainerRunner) -> None:
        from docker.errors import ImageNotFound  # noqa: PLC0415 - see guard.engine

        client, plan = self.context.client, self.plan
        self._own = str(runner.handle.container)
        try:
            image = client.images.get(plan.image or runner.handle.image)
        except ImageNotFound:
            raise FaultRefusedError(f"the image {plan.image} is not here: pull or build it before the run") from None
        self._image = str(image.id)
        name = f"{runner.handle.container_name}-stand-in-{next(_numbers)}"
        self._intents.append(self.context.journal.intend("agent", f"stand-in {name}", ContainerRemove(container=name)))
        environment = {**runner.service.environment, **plan.environment}
        container = runner.create_stand_in(
            name,
            image=plan.image,
            command=plan.command,
            entrypoint=plan.entrypoint,
            environment={key: value for key, value in environment.items() if value is not None},
            labels={"shakedown.agent": plan.target},
        )
        self._stand_in = str(container.id)

    def undo(self) -> Undo:
        """The service's own container started; what stands in for it is removed by an intent of its own."""
        if self._own is not None:
            return ContainerStart(container=self._own)
        return super().undo()

    def inject(self, deadline: float) -> None:
        """Out with the one, in with the other; returns when the other one has been started."""
        runner = self.context.system.runner(self.plan.target)
        if isinstance(runner, ProcessRunner):
            self.target.stop(self.plan.grace)
            command = [self.plan.command] if isinstance(self.plan.command, str) else self.plan.command
            with self._swap:
                if not self._given_up.is_set():
                    runner.restart(command=command, environment=self.plan.environment)
            return
        stand_in = self._container()
        # Newer than the undo that starts the service's own container, and so carried out before it: both want the ports.
        self._intents.append(
            self.context.journal.intend(
                "fault", f"stand-in {stand_in.name}", ContainerRemove(container=str(stand_in.id)), deadline
            )
        )
        target = self.target
        if isinstance(target, ContainerTarget):
            target.stop(self.plan.grace)
            target.settle()
        with self._swap:
            if not self._given_up.is_set():
                _start(stand_in)
                self._runner().handle.container = self._stand_in

    def _runner(self) -> ContainerRunner:
        runner = self.context.system.runner(self.plan.target)
        if not isinstance(runner, ContainerRunner):
            raise FaultRefusedError(f"`{self.plan.target}` is no container of this run")
        return runner

    def _container(self) -> "Container":
        from docker.errors import NotFound  # noqa: PLC0415 - see guard.engine

        try:
            return self.context.client.containers.get(str(self._stand_in))
        except NotFound:
            raise FaultError(f"what stood in for `{self.plan.target}` is gone") from None

    def _look(self) -> Proof:
        return self._look_at_program() if self._own is None else self._look_at_container()

    def _look_at_container(self) -> Proof:
        """As the engine says: image, variables, command, ports."""
        attrs = self._container().attrs
        state, config = attrs["State"], attrs["Config"]
        if state["StartedAt"].startswith("0001"):
            return Proof(held=False, evidence="what stands in for it was never started")
        runs = {tuple(item.split("=", 1)) for item in config["Env"] or []}
        wrong = [] if attrs["Image"] == self._image else [f"image is {attrs['Image'][:19]}"]
        for key, value in self.plan.environment.items():
            own = [item for item in runs if item[0] == key]
            if (value is None and own) or (value is not None and (key, _text(value)) not in runs):
                wrong.append(f"{key} is not as asked")
        for key, asked in (("Cmd", self.plan.command), ("Entrypoint", self.plan.entrypoint)):
            wanted = shlex.split(asked) if isinstance(asked, str) else asked
            if wanted is not None and config[key] != wanted:
                wrong.append(f"{key} is {config[key]}")
        if wrong:
            return Proof(held=False, evidence="; ".join(wrong))
        words = f"image {self._image[7:19]}, {len(self.plan.environment)} variables as asked"
        if state["Status"] != "running":  # a version that does not even start is a replacement too
            return Proof(
                held=True, evidence=f"{words}; it was started, and {state['Status']} with exit code {state['ExitCode']}"
            )
        return Proof(
            held=True, evidence=f"{words}; it runs since {state['StartedAt'][11:23]} UTC; {self._health_words()}"
        )

    def _look_at_program(self) -> Proof:
        """As the kernel says, while the program lives."""
        target = self.target
        state = target.look()
        if state.life == self._life:
            return Proof(held=False, evidence=f"it is still the same: {state.words}")
        changes = target.changes()
        if not changes:
            return Proof(held=False, evidence=f"it was started as it was before: {state.words}")
        if state.status == "down":
            return Proof(held=True, evidence=f"{'; '.join(changes)}; {state.words}")
        if isinstance(target, ProgramTarget):
            wrong = target.variables_not(self.plan.environment)
            if wrong:
                return Proof(held=False, evidence=f"not as asked: {', '.join(wrong)}")
        return Proof(held=True, evidence=f"{'; '.join(changes)}; {state.words}; {self._health_words()}")

    def _health_words(self) -> str:
        if self.target.health() is None:
            return "it has no health to look at"
        look = self.context.system.check_health(self.plan.target)
        return (
            f"its health answers ({look.detail})"
            if look.healthy
            else f"its health gave no answer at that moment ({look.detail})"
        )

    def _ended_early(self) -> str | None:
        if self._own is None:
            return None if self.target.changes() else "somebody started the service itself"
        try:
            self._container()
        except FaultError as error:
            return str(error)
        own = self.context.client.api.inspect_container(self._own)["State"]
        return f"somebody started the service's own container ({own['Status']})" if own["Running"] else None

    def _restore(self) -> None:
        """The other one out, and the service in again."""
        self._given_up.set()
        with self._swap:
            self._put_back()

    def _put_back(self) -> None:
        if self._own is None:
            if self.target.changes() and self.target.look().status != "down":
                self.target.stop(self.plan.grace)
            self.target.start()
            return
        if isinstance(self.target, ContainerTarget):
            self.target.settle()
        self._remove()
        self._runner().handle.container = self._own
        self.target.start()

    def _remove(self) -> None:
        """End the stand-in in order, as it may have the service's volumes; then remove it."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        with contextlib.suppress(APIError, FaultError):  # whatever state it is in, it is removed by force below
            self._container().stop(timeout=round(self.plan.grace))
        for intent in reversed(self._intents):
            carry_out(intent.undo, self.context.client)
            self.context.journal.strike(intent.id)
        self._intents.clear()
        self._stand_in = None

    def close(self) -> None:
        """What stood ready and was not needed goes too."""
        super().close()
        if self._intents:
            self._remove()


def _start(container: "Container") -> None:
    """Start it; the engine gives a stopped container's port back a little later."""
    from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

    for attempt in range(PORT_ATTEMPTS):
        try:
            container.start()
        except APIError as error:
            taken = "port is already allocated" in str(error) or "address already in use" in str(error)
            if not taken or attempt == PORT_ATTEMPTS - 1:
                raise FaultError(f"what is to stand in cannot be started: {error.explanation}") from error
            time.sleep(PORT_PAUSE)
        else:
            return


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

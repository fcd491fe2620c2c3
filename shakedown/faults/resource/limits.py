"""What the faults that lower a limit have in common: the engine's update, and what the limits were before."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.resource.cgroup import UNLIMITED, CgroupState, read_cgroup
from shakedown.guard.undo import ContainerUpdate, Undo, carry_out
from shakedown.plan.faults.base import OnService
from shakedown.records.experiment import Proof

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["LimitFault"]

P = TypeVar("P", bound=OnService)
NAMES = ("Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuPeriod", "PidsLimit")


class LimitFault(Fault[P]):
    """A container's limit lowered through the engine, and set to what it was."""

    reversal = "the limit as it was before, also when there was none"

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.before = CgroupState()
        self.counted = CgroupState()  # what had been counted when this life of the container began, or the fault
        self._started = ""
        self._engine_before: dict[str, int] = {}
        self._lowered: dict[str, int] = {}
        self._restored: dict[str, int] = {}

    @abstractmethod
    def lowered(self, container: "Container") -> tuple[dict[str, int], dict[str, int]]:
        """The limits meanwhile, and those that take them back.

        Raises:
            FaultRefusedError: they cannot be lowered.
        """

    @abstractmethod
    def felt(self, now: CgroupState) -> Proof:
        """Whether the limit is there and the service meets it."""

    def check(self) -> None:
        """The container runs, and its limits are known."""
        container = self.context.running(self.plan.target)
        self.before = self.counted = read_cgroup(container)
        self._started = str(container.attrs["State"]["StartedAt"])
        self._engine_before = _configured(container)
        self._lowered, self._restored = self.lowered(container)

    def undo(self) -> Undo:
        """The limits as they were."""
        return ContainerUpdate(
            container=str(self.context.system.handle(self.plan.target).container), limits=self._restored
        )

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Set it, and say why if the engine refuses."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        container = self.context.running(self.plan.target)
        api: Any = self.context.client.api  # the SDK's own update knows only some of the limits
        try:
            api._raise_for_status(  # noqa: SLF001
                api._post_json(api._url("/containers/{0}/update", container.id), data=self._lowered)  # noqa: SLF001
            )
        except APIError as error:
            raise FaultError(f"the engine refuses the limit: {str(error.explanation).strip()}") from error

    def effect(self) -> Proof:
        """Read back from the kernel, and felt."""
        container = self.context.container(self.plan.target)
        if container.status != "running":
            return self.ended(container)
        if (
            str(container.attrs["State"]["StartedAt"]) != self._started
        ):  # the limit is still there; the counts began anew
            self._started, self.counted = str(container.attrs["State"]["StartedAt"]), CgroupState()
        return self.felt(read_cgroup(container))

    def still(self) -> Proof | None:
        """The engine has the limits that it was given."""
        config = self.context.container(self.plan.target).attrs["HostConfig"]
        for name, value in self._lowered.items():
            now = int(config.get(name) or 0)
            if 0 < value < UNLIMITED and now != value:
                return Proof(held=False, evidence=f"somebody set the engine's {name} to {now}; it was to be {value}")
        return None

    def ended(self, container: "Container") -> Proof:
        """What the limit did to a container that does not run any more."""
        return Proof(held=False, evidence=f"the container is {container.status}: nobody feels its limits")

    def revert(self) -> None:
        """Set it back."""
        carry_out(self.undo(), self.context.client)

    def gone(self) -> Proof:
        """The engine's and the kernel's limits are what they were."""
        container = self.context.container(self.plan.target)
        configured = _configured(container)
        changed = [name for name in NAMES if configured.get(name) != self._engine_before.get(name)]
        if changed:
            return Proof(held=False, evidence=f"the engine's {changed[0]} is {configured.get(changed[0], 'not set')}")
        if container.status != "running":
            return Proof(held=True, evidence=f"the limits are what they were; the container is {container.status}")
        now = read_cgroup(container)
        if now.limits != self.before.limits:
            return Proof(held=False, evidence=f"limits {now.limits}, before {self.before.limits}")
        return Proof(held=True, evidence=f"every limit is what it was ({now.source})")

    def no_higher(self, asked: float, own: float | None, what: str) -> None:
        """Refuse a limit that would not lower anything.

        Raises:
            FaultRefusedError: the service's own is as low.
        """
        if own is not None and own <= asked:
            raise FaultRefusedError(f"`{self.plan.target}` has {what} {own:g} anyway; {asked:g} would not lower it")


def _configured(container: "Container") -> dict[str, int]:
    """The engine's limits; those that mean none are left out, in whatever way they say so."""
    config = container.attrs["HostConfig"]
    found = {name: int(config.get(name) or 0) for name in NAMES}
    limits = {name: value for name, value in found.items() if 0 < value < UNLIMITED}
    if "CpuQuota" not in limits:
        limits.pop("CpuPeriod", None)  # a period alone limits nothing
    return limits

"""Faults of whole services."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shakedown.plan.base import Kind
from shakedown.plan.faults.base import FaultModel, FaultProblem, OnService, no_such
from shakedown.plan.values import Duration, Name

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = [
    "ENDING_SIGNALS", "ServiceClock", "ServiceCrashLoop", "ServiceFault", "ServiceKill", "ServicePause", "ServiceReplace", "ServiceRestart",
    "ServiceRollingRestart", "ServiceStop",
]  # fmt: skip

# Of signal(7), those that end a process that does not handle them; the others stop it, or are ignored.
ENDING_SIGNALS = (
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV",
    "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGSYS",
)  # fmt: skip
_OTHER_SIGNALS = {
    "SIGSTOP": "service-pause freezes a service", "SIGTSTP": "service-pause freezes a service",
    "SIGCONT": "it ends nothing",
}  # fmt: skip
_YEARS = 10 * 365 * 86400
_PROGRAMS: frozenset[Kind] = frozenset({"docker", "process"})

Grace = Annotated[
    Duration,
    Field(ge=0, le=10, description="seconds between SIGTERM and SIGKILL; at most 10; whole seconds for containers"),
]


def _as_signal(value: object) -> object:
    """`kill` and `SIGKILL` are the same."""
    if not isinstance(value, str):
        return value
    upper = value.upper()
    return upper if upper.startswith("SIG") else f"SIG{upper}"


class _WholeService(OnService):
    """Nothing else may touch the service meanwhile."""

    works_on: ClassVar[frozenset[Kind]] = _PROGRAMS

    def claims(self) -> frozenset[str]:
        """All of it."""
        return frozenset({self.target})


class ServiceKill(_WholeService):
    """The service gets a signal and stays down for the hold time.

    A container's first process gets it, through the engine, which never restarts what was killed through it. With
    `crash` it is killed behind the engine's back, as by an error of its own, so that its restart policy applies. Of a
    program on this machine its whole tree gets the signal.
    """

    type: Literal["service-kill"] = "service-kill"
    signal: Annotated[str, BeforeValidator(_as_signal)] = Field(
        default="SIGKILL", description="any signal that ends a process, by its name: SIGKILL, SIGTERM, SIGSEGV, …"
    )
    crash: bool = Field(
        default=False, description="end it behind the engine's back: a restart policy brings it up again (containers)"
    )

    @field_validator("signal")
    @classmethod
    def _one_that_ends(cls, signal: str) -> str:
        if signal not in ENDING_SIGNALS:
            why = _OTHER_SIGNALS.get(signal, "no signal that ends a process")
            raise ValueError(f"`{signal}`: {why}; there are {', '.join(ENDING_SIGNALS)}")
        return signal

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """Only an engine can be gone behind."""
        yield from super().problems(plan)
        yield from _for_containers(self, plan, "crash", given=self.crash)


class ServiceStop(_WholeService):
    """An orderly stop (SIGTERM, then SIGKILL after `grace`), and a start at the end of the hold time."""

    type: Literal["service-stop"] = "service-stop"
    grace: Grace = 5.0


class ServicePause(_WholeService):
    """Every process of the service is frozen: connections stay open, nothing answers."""

    type: Literal["service-pause"] = "service-pause"


class ServiceRestart(_WholeService):
    """The service is stopped and at once started again: the outage is the restart itself, within the hold time."""

    type: Literal["service-restart"] = "service-restart"
    grace: Grace = 5.0


class ServiceCrashLoop(_WholeService):
    """The service is killed again each time that it comes up, for the hold time.

    Where it has a restart policy, the engine brings it up (and waits longer each time); else it is started after
    `downtime`.
    """

    type: Literal["service-crash-loop"] = "service-crash-loop"
    uptime: Duration = Field(
        default=1.0, ge=0.1, le=3600, description="seconds that it lives each time; from 0.1 to 3600"
    )
    downtime: Duration = Field(
        default=0.5,
        ge=0,
        le=3600,
        description="seconds until it is started again, without a restart policy; at most 3600",
    )


class ServiceReplace(_WholeService):
    """Another image, command or environment runs in the service's place for the hold time, and then the service again.

    Name, aliases, published ports, volumes, files and limits stay; its address within the run's network may be another
    one, as after any deployment. What a container has written to its own file system waits in the original.
    """

    type: Literal["service-replace"] = "service-replace"
    image: str | None = Field(default=None, description="another image (containers); default: the service's own")
    command: list[str] | str | None = Field(default=None, description="another command; default: the service's own")
    entrypoint: list[str] | None = Field(default=None, description="another entry point (containers)")
    environment: dict[str, str | int | float | bool | None] = Field(
        default={}, description="variables that are different; null takes one away"
    )
    grace: Grace = 5.0

    @model_validator(mode="after")
    def _by_something(self) -> Self:
        if self.image is None and self.command is None and self.entrypoint is None and not self.environment:
            raise ValueError("it is replaced by what? give `image`, `command`, `entrypoint` or `environment`")
        return self

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """Programs have neither images nor entry points, and their command is a list."""
        yield from super().problems(plan)
        for key in ("image", "entrypoint"):
            yield from _for_containers(self, plan, key, given=getattr(self, key) is not None)
        yield from _for_containers(
            self, plan, "command", given=isinstance(self.command, str), hint="give a program's command as a list"
        )


class ServiceClock(_WholeService):
    """The service runs, for the hold time, with a calendar clock that is off; then as before. Both take a restart.

    Nobody can turn the clock of a process that runs. So what stands in for the service has a library before the C library
    that answers for the calendar clock; the monotonic clock is right.
    """

    type: Literal["service-clock"] = "service-clock"
    ahead: Duration | None = Field(default=None, gt=0, le=_YEARS, description="how far it is ahead; up to ten years")
    behind: Duration | None = Field(default=None, gt=0, le=_YEARS, description="how far it is behind; up to ten years")
    grace: Grace = 5.0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ahead is None) == (self.behind is None):
            raise ValueError("by how much, and which way? give one of `ahead` and `behind`")
        return self

    @property
    def offset(self) -> float:
        """Seconds that are added to the right time."""
        return self.ahead if self.ahead is not None else -(self.behind or 0.0)


class ServiceRollingRestart(FaultModel):
    """Services are restarted one after another, each healthy before the next, all within the hold time."""

    works_on: ClassVar[frozenset[Kind]] = _PROGRAMS
    type: Literal["service-rolling-restart"] = "service-rolling-restart"
    targets: list[Name] = Field(min_length=1, description="the services, in this order")
    at_once: int = Field(default=1, ge=1, le=100, description="how many at the same time; from 1 to 100")
    pause: Duration = Field(
        default=1.0, ge=0, le=3600, description="seconds from one healthy to the next; at most 3600"
    )
    grace: Grace = 5.0

    @property
    def where(self) -> str:
        """The services."""
        return ", ".join(self.targets)

    def claims(self) -> frozenset[str]:
        """All of each of them."""
        return frozenset(self.targets)

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """Each is there, once, and of a kind that we can restart."""
        for index, name in enumerate(self.targets):
            service = plan.services.get(name)
            if service is None:
                yield ("targets", index), *no_such("service", name, plan.services)
            elif service.kind not in self.works_on:
                yield ("targets", index), f"{self.type} restarts what we started; `{name}` is {service.kind}", None
            elif name in self.targets[:index]:
                yield ("targets", index), f"`{name}` is there twice", None


ServiceFault = (
    ServiceKill
    | ServiceStop
    | ServicePause
    | ServiceRestart
    | ServiceCrashLoop
    | ServiceReplace
    | ServiceClock
    | ServiceRollingRestart
)


def _for_containers(
    fault: OnService, plan: "Plan", key: str, *, given: bool, hint: str | None = None
) -> Iterator[FaultProblem]:
    service = plan.services.get(fault.target)
    if given and service is not None and service.kind == "process":
        yield (key,), f"`{key}` is for containers; `{fault.target}` is a program on this machine", hint

"""Faults of the user's own: commands, or a Python class."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from shakedown.plan.faults.base import FaultModel, FaultProblem, no_such
from shakedown.plan.values import Duration, Name

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = ["Command", "CustomCommand", "CustomPython"]

Command = str | list[str]  # a line for `sh -c`, or a program and its arguments


class _Custom(FaultModel):
    """What both have: perhaps a service that they disturb, and a limit in time for each step."""

    target: Name | None = Field(default=None, description="the service that it disturbs; default: none of the plan's")
    timeout: Duration = Field(default=10.0, gt=0, le=25, description="what each step may take; at most 25s")

    @property
    def where(self) -> str:
        """The service, if there is one."""
        return self.target or ""

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """The service is there."""
        if self.target is not None and self.target not in plan.services:
            yield ("target",), *no_such("service", self.target, plan.services)


class CustomCommand(_Custom):
    """Commands of your own bring it about, take it back, and prove both; in the target's container, or on this machine."""

    type: Literal["custom-command"] = "custom-command"
    inject: Command = Field(description="brings it about; exit code 0")
    revert: Command = Field(
        description="takes it back; exit code 0, also when it runs a second time or too early; no secrets in it: the journal is a file"
    )
    proof: Command = Field(description="exit code 0: it is in effect, 1: it is not; anything else is an error")
    gone: Command | None = Field(
        default=None, description="exit code 0: it is gone, 1: it is not; default: `proof` with exit code 1"
    )
    run_on: Literal["container", "host"] | None = Field(
        default=None, description="default: the target's container, or this machine where it has none"
    )
    environment: dict[str, str] = Field(
        default={}, description="for all commands; no secrets, as the journal is a file"
    )
    cwd: str = Field(default="", description="default: the plan's folder, or in a container the image's own")
    user: str = Field(default="", description="the container's user that runs them; default: the image's own")

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """There is a container to run in; nothing is empty; nothing secret is written down."""
        yield from super().problems(plan)
        if self.run_on == "container" and (service := plan.services.get(self.target or "")):
            if service.kind != "docker":
                yield ("run_on",), f"`{self.target}` is {service.kind}: it has no container", "say `run_on: host`"
        elif self.run_on == "container" and self.target is None:
            yield ("run_on",), "there is no container without a `target`", "name the service in `target`"
        for step in ("inject", "revert", "proof", "gone"):
            command = getattr(self, step)
            if command is not None and not (command.strip() if isinstance(command, str) else command and command[0]):
                yield (step,), "an empty command", None
        yield from _secrets(self.environment, "environment")


class CustomPython(_Custom):
    """A Python class of yours, in the plan's folder, brings it about, takes it back, and proves both."""

    type: Literal["custom-python"] = "custom-python"
    run: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="`module:Class`, found from the plan's folder"
    )
    parameters: dict[str, str | int | float | bool] = Field(
        default={}, description="given to the class; no secrets, as the journal is a file"
    )

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """Nothing secret is written down."""
        yield from super().problems(plan)
        yield from _secrets(self.parameters, "parameters")


def _secrets(values: Mapping[str, object], key: str) -> Iterator[FaultProblem]:
    from shakedown.plan.secrets import looks_secret  # noqa: PLC0415 - it knows the whole plan, and so this module

    for name in values:
        if looks_secret(name):
            yield (
                (key, name),
                f"`{name}` looks like a secret, and the undo of a fault is written into a file",
                "commands inherit the environment they run in: read it from there, or from a file",
            )

"""What every fault of a plan has in common."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from shakedown.plan.base import Kind
from shakedown.plan.profiles import nearest
from shakedown.plan.values import Name

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = ["FaultModel", "FaultProblem", "OnService", "conflict", "no_such"]

FaultProblem = tuple[tuple[str | int, ...], str, str | None]  # where in the fault, what is wrong, a hint


class FaultModel(BaseModel):
    """The base of every fault. A subclass's docstring is what the documentation says of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: str

    @property
    def where(self) -> str:
        """What it acts on, for people."""
        return ""

    def claims(self) -> frozenset[str]:
        """What nobody else may touch at the same time: `redis` is all of a service, `redis:memory` a part of it."""
        return frozenset()

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:  # noqa: ARG002 - subclasses look
        """What is wrong with it in this plan."""
        yield from ()

    def file_problems(self, base: Path) -> Iterator[FaultProblem]:  # noqa: ARG002 - subclasses look
        """What is wrong with the files that it names; `base` is where relative paths start."""
        yield from ()


class OnService(FaultModel):
    """A fault that acts on one service of the plan."""

    works_on: ClassVar[frozenset[Kind]] = frozenset({"docker"})
    target: Name

    @property
    def where(self) -> str:
        """The service."""
        return self.target

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """The service is there, and of a kind that the fault works on."""
        service = plan.services.get(self.target)
        if service is None:
            yield ("target",), *no_such("service", self.target, plan.services)
        elif service.kind not in self.works_on:
            ways = " and ".join(f"`{kind}`" for kind in sorted(self.works_on))
            yield (
                ("target",),
                f"{self.type} works on {ways} services; `{self.target}` is {service.kind}",
                "give the service an `image` or `build`" if "docker" in self.works_on else None,
            )


def no_such(kind: str, name: str, choices: Iterable[str]) -> tuple[str, str | None]:
    """What to say of a name that the plan does not have, and perhaps which one was meant."""
    known = list(choices)
    listing = f"the plan has {', '.join(known)}" if known else f"the plan has no {kind}"
    return f"no such {kind}: `{name}`; {listing}", nearest(name, known)


def conflict(first: FaultModel, second: FaultModel) -> str | None:
    """What two faults would both touch; None when they can act at the same time."""
    for one in first.claims():
        for other in second.claims():
            shorter, longer = sorted((one, other), key=len)
            if longer == shorter or longer.startswith(f"{shorter}:"):
                return longer
            if _below(one, other) or _below(other, one):
                return other if "*" in one else one
    return None


def _below(name: str, pattern: str) -> bool:
    """Whether a claim's name is one of those that another's pattern means: `api:dns:*.test` and `api:dns:a.test`."""
    family, _, wanted = pattern.rpartition(":")
    mine, _, given = name.rpartition(":")
    return family == mine and wanted.startswith("*.") and given.endswith(wanted[1:])

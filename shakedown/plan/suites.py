"""The suites of a plan: programs that test, and say of each of their tests how it ended."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.services import Secret
from shakedown.plan.values import Duration, Name

__all__ = ["Suite"]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_as_list)]


class Suite(PlanModel):
    """Tests run as a process of their own, with the services' addresses in SHAKEDOWN_<SERVICE>_<PORT>.

    Exactly one of `pytest`, `unittest`, `command` says what is run; at most one of `service`, `image` says where, and
    without them it is this machine.
    """

    pytest: Texts = []  # paths relative to the plan; inside a container, to its working directory
    unittest: str | None = None  # the folder where discovery begins
    command: Texts = []  # any program; how its tests ended is read from `results`
    results: Literal["exit-code", "tap", "junit"] | None = (
        None  # of a command: TAP on its output, or JUnit XML at `junit`
    )
    junit: str | None = None  # the file that the command writes, relative to the plan
    ignore: Texts = []  # paths that are not collected
    markers: str | None = None  # `not slow`
    keyword: str | None = None  # `upload and not large`
    workers: int = Field(default=1, gt=0, le=256)
    max_failures: int | None = Field(default=None, gt=0)
    count: int = Field(default=1, gt=0, le=10_000)  # times that each test runs within one process
    shuffle: bool = False  # another order in each repetition, from the run's seed
    test_timeout: Duration | None = Field(default=None, gt=0)
    slow: Annotated[
        Duration | None,
        Field(
            gt=0,
            description="a test that typically takes longer is named as slow; without it, one far beyond the others",
        ),
    ] = None
    timeout: Duration = Field(default=600.0, gt=0)  # of the whole suite
    python: str | None = None  # interpreter; default: the one Shakedown runs under, in a container `python3`
    args: list[str] = []
    environment: dict[str, str | Secret] = {}
    service: Name | None = None  # run inside this service's container
    image: str | None = None  # run in a container of its own
    cwd: str | None = None  # default: the plan's folder; in a container, the container's own
    files: dict[str, str] = {}  # with `image`: path inside -> path on the host, relative to the plan; copied
    optional: bool = False  # absent path or interpreter: skipped and said so, instead of a plan error

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum([bool(self.pytest), self.unittest is not None, bool(self.command)]) != 1:
            raise ValueError("a suite is exactly one of pytest, unittest, command")
        if self.service is not None and self.image is not None:
            raise ValueError("a suite runs inside a `service` or in a container of an `image`, not both")
        if (self.results == "junit") != (self.junit is not None):
            raise ValueError("`results: junit` and `junit: FILE` go together")
        if self.files and self.image is None:
            raise ValueError("`files` go into the container of an `image`")
        self._only("command", bool(self.command), ("results",))
        self._only("pytest", bool(self.pytest), ("markers", "keyword", "ignore", "workers", "args"))
        self._only(
            "pytest or unittest", not self.command, ("count", "shuffle", "test_timeout", "python", "max_failures")
        )
        return self

    def _only(self, kind: str, fits: bool, keys: tuple[str, ...]) -> None:  # noqa: FBT001
        for key in keys:
            if not fits and key in self.model_fields_set:
                raise ValueError(f"`{key}` belongs to a {kind} suite")

    @property
    def kind(self) -> Literal["pytest", "unittest", "command"]:
        """What is run."""
        return "pytest" if self.pytest else "command" if self.command else "unittest"

    @property
    def inside(self) -> bool:
        """Whether it runs in a container."""
        return self.service is not None or self.image is not None

    @property
    def paths(self) -> list[str]:
        """What must be there, relative to the plan; nothing when it runs in a container."""
        return [] if self.inside else [*self.pytest, *([self.unittest] if self.unittest else []), *self.ignore]

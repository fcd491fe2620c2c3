"""Faults of what a service may use: memory, CPU, processes, files, disk."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shakedown.plan.base import Kind
from shakedown.plan.faults.base import FaultProblem, OnService
from shakedown.plan.services import DockerService, Limits
from shakedown.plan.values import Share, Size

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = [
    "ResourceCpuHog",
    "ResourceCpuLimit",
    "ResourceDiskFull",
    "ResourceFault",
    "ResourceMemoryLimit",
    "ResourceMemoryPressure",
    "ResourceOomKill",
    "ResourceOpenFiles",
    "ResourcePids",
    "ResourceSlowDisk",
]

SMALLEST_MEMORY = 6 * 2**20  # the engine accepts no lower limit


class _OnPart(OnService):
    """A fault of one resource; those of different resources go together."""

    part: ClassVar[str]

    def claims(self) -> frozenset[str]:
        """The resource."""
        return frozenset({f"{self.target}:{self.part}"})

    def docker(self, plan: "Plan") -> DockerService | None:
        """The service, if it is a container."""
        service = plan.services.get(self.target)
        return service if isinstance(service, DockerService) else None

    def limits(self, plan: "Plan") -> Limits:
        """What the plan says that the service may use."""
        service = self.docker(plan)
        return service.limits if service is not None else Limits()


class ResourceMemoryLimit(_OnPart):
    """The container's memory limit is lowered."""

    part = "memory"
    type: Literal["resource-memory-limit"] = "resource-memory-limit"
    memory: Size = Field(ge=SMALLEST_MEMORY, description="the limit meanwhile; at least 6MiB, lower than its own one")

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """It is lower than what the service has."""
        yield from super().problems(plan)
        own = self.limits(plan).memory
        if own is not None and self.memory >= own:
            yield ("memory",), f"`{self.target}` may use {own} bytes anyway; {self.memory} is not lower", None


class ResourceCpuLimit(_OnPart):
    """The container's CPU limit is lowered: it is throttled for the rest of each period of 100 ms."""

    part = "cpu-limit"
    type: Literal["resource-cpu-limit"] = "resource-cpu-limit"
    cpus: float = Field(ge=0.01, le=1024, description="CPUs that it may use meanwhile: 0.01 or more, e.g. 0.25")

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """It is lower than what the service has."""
        yield from super().problems(plan)
        own = self.limits(plan).cpus
        if own is not None and self.cpus >= own:
            yield ("cpus",), f"`{self.target}` may use {own:g} CPUs anyway; {self.cpus:g} is not lower", None


class ResourceMemoryPressure(_OnPart):
    """A process inside the service's own limits holds memory, so that the service has less of it."""

    part = "memory"
    type: Literal["resource-memory-pressure"] = "resource-memory-pressure"
    fill: Share | None = Field(
        default=None, gt=0, lt=1, description="share of the container's memory limit in use, all in all: 90%"
    )
    size: Size | None = Field(default=None, gt=0, description="or what is held beside the service: 200MB")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.fill is None) == (self.size is None):
            raise ValueError("memory pressure has exactly one of `fill` and `size`")
        return self

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """A share is of something; a size leaves the limit whole."""
        yield from super().problems(plan)
        if self.docker(plan) is None:
            return
        own = self.limits(plan).memory
        if self.fill is not None and own is None:
            hint = "give the service `limits: {memory: 512MB}`, or the fault a `size`"
            yield ("fill",), f"`{self.target}` has no memory limit that could be filled", hint
        if self.size is not None and own is not None and self.size >= own:
            yield (
                ("size",),
                f"{self.size} bytes are not less than the memory limit of `{self.target}`, {own}",
                "resource-oom-kill goes beyond the limit",
            )


class ResourceOomKill(_OnPart):
    """The service's memory limit is exceeded, and the kernel kills a process of it; it stays down for the hold time."""

    type: Literal["resource-oom-kill"] = "resource-oom-kill"
    victim: Literal["main", "largest"] = Field(
        default="main",
        description="`main`: the container's first process, and with it all others; `largest`: the one with most memory",
    )

    def claims(self) -> frozenset[str]:
        """All of the service."""
        return frozenset({self.target})

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """There is a limit to exceed."""
        yield from super().problems(plan)
        if self.docker(plan) is not None and self.limits(plan).memory is None:
            hint = "give the service `limits: {memory: 512MB}`"
            yield (), f"`{self.target}` has no memory limit: the kernel would kill for it anywhere on the machine", hint


class ResourceCpuHog(_OnPart):
    """Busy processes inside the service's own limits compete with it for CPU time."""

    part = "cpu-hog"
    type: Literal["resource-cpu-hog"] = "resource-cpu-hog"
    workers: int | None = Field(
        default=None, ge=1, le=256, description="busy processes; default: one for each CPU that the service may use"
    )


class ResourcePids(OnService):
    """The container's limit of processes and threads is lowered: no new one can be started."""

    type: Literal["resource-pids"] = "resource-pids"
    leave: int = Field(default=0, ge=0, le=100_000, description="how many more may be started than there are")

    def claims(self) -> frozenset[str]:
        """All of the service: nothing that starts a process in it could be done, or taken back, meanwhile."""
        return frozenset({self.target})


class ResourceOpenFiles(_OnPart):
    """The limit of open files of the running processes is lowered: opening one more fails with EMFILE."""

    works_on: ClassVar[frozenset[Kind]] = frozenset({"docker", "process"})
    part = "files"
    type: Literal["resource-open-files"] = "resource-open-files"
    leave: int = Field(
        default=0, ge=0, le=1_000_000, description="how many more files each process may open than it has open"
    )


class ResourceDiskFull(_OnPart):
    """A file fills a tmpfs or volume of the container until writes fail for want of space."""

    type: Literal["resource-disk-full"] = "resource-disk-full"
    path: str = Field(pattern=r"^/.", description="where it is mounted inside the container: /data")
    fill: Share | None = Field(default=None, gt=0, le=1, description="share in use, all in all; default: 100%")
    leave: Size | None = Field(default=None, ge=0, description="or how much is left free: 1MB")
    at_most: Size | None = Field(
        default=None,
        gt=0,
        description="the most that is written; needed where the space is the host's, of which 5% (1 GB at least) stay free",
    )

    def claims(self) -> frozenset[str]:
        """The place."""
        return frozenset({f"{self.target}:disk:{self.path.rstrip('/')}"})

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.fill is not None and self.leave is not None:
            raise ValueError("a full disk has at most one of `fill` and `leave`")
        return self

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """A place that is no tmpfs is the host's disk."""
        yield from super().problems(plan)
        service = self.docker(plan)
        if service is None:
            return
        places = {place.rstrip("/") for place in service.tmpfs}
        inside = any(self.path == place or self.path.startswith(f"{place}/") for place in places)
        if not inside and self.at_most is None:
            hint = f"give the service `tmpfs: {{{self.path}: 64MB}}`, or the fault `at_most`"
            yield (
                ("path",),
                f"`{self.path}` is no tmpfs of `{self.target}`: to fill it is to fill the host's disk",
                hint,
            )


class ResourceSlowDisk(_OnPart):
    """The container's reads and writes of the disk are slowed to so many bytes each second."""

    part = "disk-speed"
    type: Literal["resource-slow-disk"] = "resource-slow-disk"
    read: Size | None = Field(default=None, ge=4096, description="bytes read each second, at most: 1MB")
    write: Size | None = Field(default=None, ge=4096, description="bytes written each second, at most: 1MB")
    path: str = Field(default="/", pattern=r"^/", description="a place inside the container that is on that disk")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.read is None and self.write is None:
            raise ValueError("a slow disk has `read`, `write` or both")
        return self


ResourceFault = (
    ResourceMemoryLimit | ResourceMemoryPressure | ResourceOomKill | ResourceCpuLimit | ResourceCpuHog | ResourcePids
    | ResourceOpenFiles | ResourceDiskFull | ResourceSlowDisk
)  # fmt: skip

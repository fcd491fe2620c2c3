"""The services of a plan: what the system under test is made of."""

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from shakedown.plan.base import Kind, PlanModel
from shakedown.plan.probes import Probe
from shakedown.plan.stubs import ARRIVALS, Forward, Stub
from shakedown.plan.values import Duration, Name, Port, Size

__all__ = [
    "Build", "ComposeService", "DockerService", "ExternalService", "FromCompose", "Health", "Limits", "Metrics", "ProcessService",
    "ProxyService", "Secret", "Service", "StubService", "VendorService", "listening_ports", "ports_of",
]  # fmt: skip


class Health(PlanModel):
    """How to see that a service is up; exactly one of http, tcp, command, docker."""

    http: str | None = None  # "port-name:/path": a 2xx answer
    tcp: Port | str | None = None  # a port number inside the container, or a port's name
    command: list[str] | str | None = None  # inside the container (docker) or on the host (process); exit code 0
    docker: bool = False  # the image's own HEALTHCHECK
    within: Duration = Field(default=30.0, gt=0)
    interval: Duration = Field(default=0.25, gt=0)
    timeout: Duration = Field(default=2.0, gt=0)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.http is not None, self.tcp is not None, self.command is not None, self.docker]
        if sum(ways) != 1:
            raise ValueError("health is seen in exactly one way: http, tcp, command or docker")
        return self


class Limits(PlanModel):
    """What a container may use; nothing given is no limit."""

    memory: Size | None = None
    cpus: float | None = Field(default=None, gt=0)
    pids: int | None = Field(default=None, gt=0)
    open_files: int | None = Field(default=None, gt=0)


class Metrics(PlanModel):
    """A Prometheus text endpoint, and the series to record from it."""

    prometheus: str  # "port-name:/path"
    series: list[str] = []


def _as_text(value: object) -> object:
    """A secret of digits alone, which YAML reads as a number, is a text all the same."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Secret(PlanModel):
    """A value that must never reach a log, database or report; with `secret: false`, one that may."""

    value: Annotated[str, BeforeValidator(_as_text)]
    secret: bool = True


class Build(PlanModel):
    """An image made from a folder; paths are relative to the plan."""

    context: str
    dockerfile: str = "Dockerfile"
    args: dict[str, str] = {}


def _as_build(value: object) -> object:
    """A plain string is the context."""
    return {"context": value} if isinstance(value, str) else value


Alias = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$",
        max_length=253,
    ),
]


def _as_restart(value: object) -> object:
    """YAML reads a bare `no` as false."""
    return "no" if value is False else value


class ServiceBase(PlanModel):
    """What every kind of service has."""

    kind: ClassVar[Kind]
    environment: dict[str, str | int | float | bool | Secret] = {}
    depends_on: list[str] = []
    ports: dict[Name, Port] = {}  # name -> port that the service listens on
    health: Health | None = None
    metrics: Metrics | None = None
    probes: dict[Name, Probe] = {}  # series of the service's own
    stop_grace: Duration = 1.0  # at the end of the run: what it gets between being asked to end and being made to


class DockerService(ServiceBase):
    """A container of this run."""

    kind = "docker"
    image: str | None = None
    build: Annotated[Build | None, BeforeValidator(_as_build)] = None
    command: list[str] | str | None = None
    entrypoint: list[str] | None = None
    user: str | None = None
    files: dict[str, str] = {}  # path inside the container -> path on the host, relative to the plan (read-only)
    volumes: dict[str, str] = {}  # volume name -> path inside the container; removed with the run
    tmpfs: dict[str, Size] = {}
    limits: Limits = Limits()
    aliases: list[Alias] = []  # more names in the run's network: a vendor's own, say
    restart: Annotated[Literal["no", "on-failure", "always"], BeforeValidator(_as_restart)] = "no"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.image is None) == (self.build is None):
            raise ValueError("a service needs exactly one of image, build, process, url, stub, proxy")
        return self


class FromCompose(PlanModel):
    """Where a service of a Compose project comes from; `compose:` among the plan's services is unfolded into these.

    Attributes:
        files: relative to the plan.
        attach: the name of a project that runs already.
        variables: what `${NAME}` stands for in the files, before the environment.
        finishes: it ends by itself, with exit code 0, before those that need it are started.
        environment: which variables the plan itself gives it.
    """

    files: list[str]
    attach: str | None = None
    profiles: list[str] = []
    variables: dict[str, str] = {}
    finishes: bool = False
    environment: list[str] = []


class ComposeService(DockerService):
    """A container that a Compose tool makes; what stands in the Compose file is not said again in the plan."""

    compose: FromCompose

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        return self


class VendorService(DockerService):
    """A container of our own in the place of a vendor outside; port `http` is 80, or 443 with TLS, if not given."""

    @model_validator(mode="before")
    @classmethod
    def _ports_and_health(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given: dict[object, object] = {
            "ports": {"http": 443 if _with_tls(data) else 80}, "health": {"tcp": "http", "within": "60s"}
        }  # fmt: skip
        if not _with_tls(data):
            given["metrics"] = {"prometheus": "http:/-/metrics", "series": [ARRIVALS]}
        return {**given, **data}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        for key in ("image", "build", "command", "entrypoint", "user", "files", "volumes"):
            if getattr(self, key):
                raise ValueError(f"it brings its own program: `{key}` cannot be given")
        if set(self.ports) != {"http"}:
            raise ValueError("it has one port, called `http`")
        return self


class StubService(VendorService):
    """Answers from the plan."""

    stub: Stub


class ProxyService(VendorService):
    """Hands calls on to the real one."""

    proxy: Forward


def _with_tls(data: dict[object, object]) -> bool:
    return any(isinstance(inner, dict) and inner.get("tls") for inner in (data.get("stub"), data.get("proxy")))


class ProcessService(ServiceBase):
    """A program on this machine.

    `{port.NAME}` in the command or environment becomes the port of that name: the number given, or, where that is 0,
    a free port chosen for the run.
    """

    kind = "process"
    process: list[str]
    cwd: str = "."


class ExternalService(ServiceBase):
    """Something that already answers. `url` gives port `http`. Load on it needs loopback or `allow: true`."""

    kind = "external"
    url: str
    allow: bool = False

    @field_validator("url")
    @classmethod
    def _with_a_host(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        except ValueError:  # brackets that do not close, a port beyond 65535
            whole = False
        if not whole:
            raise ValueError("not an address; write http://127.0.0.1:8000 or https://name")
        return url


_TAGS = {"process": "process", "url": "external", "stub": "stub", "proxy": "proxy", "compose": "compose"}


# The tags of unions stand in the places of errors; in angle brackets, none is ever taken for a key of the plan.
def _service_kind(value: object) -> str:
    if isinstance(value, dict):
        return next((f"<{tag}>" for key, tag in _TAGS.items() if key in value), "<docker>")
    return {
        "ProcessService": "<process>", "ExternalService": "<external>", "StubService": "<stub>", "ProxyService": "<proxy>",
        "ComposeService": "<compose>",
    }.get(type(value).__name__, "<docker>")  # fmt: skip


Service = Annotated[
    Annotated[DockerService, Tag("<docker>")]
    | Annotated[ProcessService, Tag("<process>")]
    | Annotated[ExternalService, Tag("<external>")]
    | Annotated[StubService, Tag("<stub>")]
    | Annotated[ProxyService, Tag("<proxy>")]
    | Annotated[ComposeService, Tag("<compose>")],
    Discriminator(_service_kind),
]


def ports_of(service: Service) -> dict[str, int]:
    """A service's named ports; an external one has `http`, from its URL."""
    if isinstance(service, ExternalService):
        parts = urlsplit(service.url)
        return {"http": parts.port or (443 if parts.scheme == "https" else 80), **service.ports}
    return service.ports


def listening_ports(service: Service) -> list[int]:
    """Every port that the plan says a service listens on."""
    ports = list(ports_of(service).values())
    if service.health is not None and isinstance(service.health.tcp, int) and service.health.tcp not in ports:
        ports.append(service.health.tcp)
    return ports

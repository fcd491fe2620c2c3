"""What a plan must not ask of shards, found before anything starts."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from shakedown.plan.document import Path
from shakedown.plan.hosts import is_loopback
from shakedown.plan.model import Plan, Shards, UseScenario
from shakedown.plan.services import ExternalService

__all__ = ["cluster_is_here", "shard_problems", "unreachable"]


def cluster_is_here(address: str | None) -> bool:
    """Whether a cluster's address means this machine alone; none at all is a cluster that is started here."""
    if address is None:
        return True
    try:
        host = urlsplit(address if "://" in address else f"//{address}").hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def unreachable(shards: Shards, host: str | None, *, external: bool) -> str | None:
    """Why shards cannot reach what they are to load; None when they can.

    Args:
        host: where the service answers, as far as that is known.
        external: whether the service is there already (`url`), rather than started by the run.
    """
    if shards.address is not None and shards.runner in ("thread", "process"):
        return f"the {shards.runner} runner works on this machine: it takes no address"
    if cluster_is_here(shards.address):
        return None
    if not external:
        return (
            f"shards at {shards.address} cannot reach a service that the run starts on this machine (127.0.0.1); "
            "what works: a service with a `url` that all machines reach, or no `address`"
        )
    if host is not None and is_loopback(host):
        return f"{host} is another machine for each shard at {shards.address}; give the service a `url` that all of them reach"
    return None


def shard_problems(plan: Plan, use: UseScenario, path: Path) -> Iterator[tuple[Path, str]]:
    """What is wrong with a use's shards: the place, and the sentence.

    Args:
        path: of the use, such as `stages.stress.parallel.0`.
    """
    shards, scenario = use.shards, plan.scenarios.get(use.use)
    if shards is None or scenario is None:
        return
    here = (*path, "shards")
    if path[:3] == ("stages", "faults", "load"):
        yield here, "the load of the faults stage is watched while it runs; shards speak when they have ended"
    name = (scenario.target or "").partition(".")[0]
    service = plan.services.get(name)
    external = service is None or isinstance(service, ExternalService)
    host = urlsplit(service.url).hostname if isinstance(service, ExternalService) else None
    problem = unreachable(shards, host, external=external)
    if problem is not None:
        yield (*here, "address"), problem

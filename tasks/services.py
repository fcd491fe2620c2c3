"""Start and stop the system under test."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from shakedown.errors import ServiceError
from shakedown.session import current

__all__ = ["check_health", "start_services", "stop_services"]

LOOKS, BETWEEN_LOOKS = 3, 1.0  # seconds


@task(task_run_name="start services", cache_policy=NO_CACHE)
def start_services(run_id: str) -> None:
    """Start every service and wait until it is healthy."""
    current(run_id).start_system()


@task(task_run_name="health", cache_policy=NO_CACHE)
def check_health(run_id: str) -> int:
    """Look at every service; how many there are. One bad look may be a moment's: three in a row are not.

    Raises:
        ServiceError: one is not healthy.
    """
    session = current(run_id)
    for name in session.loaded.plan.services:
        for left in reversed(range(LOOKS)):
            look = session.system.check_health(name)
            if look.healthy:
                break
            if not left:
                raise ServiceError(f"service {look.service} is not healthy: {look.detail}")
            session.stop.wait(BETWEEN_LOOKS)
            session.check_stop()
    return len(session.loaded.plan.services)


@task(task_run_name="stop services", cache_policy=NO_CACHE)
def stop_services(run_id: str) -> list[str]:
    """Stop and remove everything; what could not be removed."""
    return current(run_id).stop_system()

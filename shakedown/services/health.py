"""One look at a service: is it well?"""

import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from shakedown.plan.services import Health
from shakedown.services.handle import Address, Handle

__all__ = ["Look", "look"]

DETAIL = 200


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found."""

    healthy: bool
    latency: float
    detail: str


def look(
    handle: Handle,
    health: Health,
    *,
    ports: Mapping[str, int],
    run_inside: Callable[[list[str]], tuple[int, str]] | None = None,
    docker_says: Callable[[], str] | None = None,
) -> Look:
    """Look once, within the health's own time-out.

    Args:
        ports: of the service, by name.
        run_inside: runs a command inside the service's container; None for a process (then on this machine).
        docker_says: the state of the image's own healthcheck.
    """
    begun = time.monotonic()
    try:
        healthy, detail = _look(handle, health, ports, run_inside, docker_says)
    except (OSError, httpx.HTTPError, subprocess.SubprocessError) as error:
        healthy, detail = False, f"{type(error).__name__}: {error}"
    return Look(healthy, time.monotonic() - begun, detail[:DETAIL])


def _look(
    handle: Handle,
    health: Health,
    ports: Mapping[str, int],
    run_inside: Callable[[list[str]], tuple[int, str]] | None,
    docker_says: Callable[[], str] | None,
) -> tuple[bool, str]:
    if health.http is not None:
        name, _, path = health.http.partition(":")
        answer = httpx.get(handle.addresses[name].url + path, timeout=health.timeout, trust_env=False)
        return answer.is_success, f"HTTP {answer.status_code}"
    if health.tcp is not None:
        address = tcp_address(handle, health, ports)
        with socket.create_connection((address.host, address.port), timeout=health.timeout) as connection:
            # A published port accepts even when nothing listens behind it; then it closes at once.
            connection.settimeout(0.05)
            try:
                data = connection.recv(1)
            except TimeoutError:
                return True, "connected"
            return (True, "connected") if data else (False, "closed at once: nothing listens behind the port")
    if health.command is not None:
        command = ["sh", "-c", health.command] if isinstance(health.command, str) else list(health.command)
        if run_inside is not None:
            code, output = run_inside(command)
        else:
            done = subprocess.run(  # noqa: S603 - the user's own command, from their plan
                command, capture_output=True, text=True, timeout=health.timeout, check=False
            )
            code, output = done.returncode, done.stdout + done.stderr
        return code == 0, f"`{shlex.join(command)}` ended with {code}: {output.strip()[-120:]}"
    state = docker_says() if docker_says else "no container"
    return state == "healthy", f"Docker says {state}"


def tcp_address(handle: Handle, health: Health, ports: Mapping[str, int]) -> Address:
    """The address of a tcp health check: a port's name, or a number inside the container, which may have a name too."""
    if isinstance(health.tcp, str):
        return handle.addresses[health.tcp]
    names = [f"tcp-{health.tcp}", *(name for name, port in ports.items() if port == health.tcp)]
    found = next((handle.addresses[name] for name in names if name in handle.addresses), None)
    return found or Address("127.0.0.1", int(health.tcp or 0))

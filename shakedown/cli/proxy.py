"""`shakedown proxy`: the proxy by itself, with faults from the command line."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import TypeAdapter, ValidationError
from rich.markup import escape

from shakedown.cli.console import err
from shakedown.errors import UsageError
from shakedown.faults import FaultContext, build_fault
from shakedown.faults.network.proxied import ProxiedFault
from shakedown.plan.faults import FaultPlan
from shakedown.services.foreground import ProxyOrders, proxy_command
from shakedown.units import format_duration, parse_duration

__all__ = ["run_proxy"]

_FAULT: TypeAdapter[FaultPlan] = TypeAdapter(FaultPlan)


def run_proxy(listen: str, to: str, faults: list[str], how_long: str, seed: int) -> None:
    """Hand connections on, with the faults, until the time is over or somebody interrupts; then tell what was met.

    Raises:
        UsageError: a fault is none that the proxy makes.
        FaultError: the proxy cannot listen there.
    """
    try:
        seconds = parse_duration(how_long)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error
    chosen = [_read(text) for text in faults]
    with subprocess.Popen(  # noqa: S603 - our own program
        proxy_command([(listen, to)]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        proxy = ProxyOrders(process, "the proxy")
        try:
            proxy.ask("hello")
            for number, fault in enumerate(chosen):
                kind, order = fault.order_in_front(seed)
                proxy.ask("inject", kind=kind, tag=f"shakedown:{number}", deadline=time.time() + seconds, **order)
            words = ", ".join(f"{fault.plan.type} {fault.shows}".strip() for fault in chosen) or "no fault"
            err.print(escape(f"{listen} hands on to {to}, for {format_duration(seconds)}: {words}"))
            _wait(process, seconds)
            for number, fault in enumerate(chosen):
                if process.poll() is None:
                    stats = proxy.ask("stats", tag=f"shakedown:{number}")
                    err.print(escape(f"{fault.plan.type}: {fault.met(stats)}"))
        finally:
            proxy.end()


def _read(text: str) -> ProxiedFault[Any]:
    """A fault as in a plan, without its target.

    Raises:
        UsageError: it is none, or none that the proxy makes.
    """
    example = "write --fault '{type: network-latency, latency: 200ms}'"
    try:
        given = yaml.safe_load(text)
        plan = _FAULT.validate_python({**given, "target": "proxy"})
    except (yaml.YAMLError, TypeError) as error:
        raise UsageError(f"not a fault: {text}", hint=example) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != given.get("type"))
        raise UsageError(f"not a fault: {where}: {first['msg']}".replace(": :", ":"), hint=example) from error
    for _, message, hint in plan.file_problems(Path.cwd()):
        raise UsageError(f"{plan.type}: {message}", hint=hint)
    fault = build_fault(plan, cast("FaultContext", None))  # there is no run, and what is asked of it needs none
    if not isinstance(fault, ProxiedFault):
        raise UsageError(f"{plan.type} is no fault that the proxy makes", hint=example)
    return fault


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Until the time is over, the proxy ends, or somebody interrupts."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        process.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        return

"""service-clock: what stands in for the service believes that it is another time.

The calendar clock of a process that runs cannot be turned: the kernel has one for all (its time namespaces cover only
the monotonic ones). libfaketime, loaded before the C library, answers for it in a process that is started with it; the
agent's image holds it. Programs that are linked statically, or by another C library, do not load it: then the fault is
said not to be held.
"""

import io
import itertools
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from shakedown.errors import FaultRefusedError
from shakedown.faults.agents import agent_image
from shakedown.faults.base import FaultContext
from shakedown.faults.service.replace import ReplaceFault
from shakedown.guard.undo import ContainerRemove, carry_out
from shakedown.plan.faults.service import ServiceClock, ServiceReplace
from shakedown.records.experiment import Proof
from shakedown.services.docker import ContainerRunner
from shakedown.services.process import ProcessRunner
from shakedown.units import format_duration

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["ClockFault"]

LIBRARY = "libfaketimeMT.so.1"  # the one that threads may use
PLACES = "usr/lib/*/faketime", "usr/lib*/faketime", "usr/local/lib/faketime", "opt/homebrew/lib/faketime"
INSIDE = "/shakedown-clock"
PRELOAD = "LD_PRELOAD"
SLACK = 2.0  # seconds by which the measured offset may differ: `date` tells whole ones
ENOUGH = 0.8  # of the asked offset
_numbers = itertools.count(1)


class ClockFault(ReplaceFault):
    """The fault."""

    mechanism = (
        "containers: stopped, and a second one in its place that loads libfaketime first; programs: ended, and started "
        "with it"
    )
    docker_mechanism = "Docker: the container stopped, a second one in its place that loads libfaketime first"
    program_mechanism = "the program's tree ended, and started with libfaketime"
    proof = "its first process has loaded the library, and a `date` started beside it tells the asked offset"
    needs = ("programs: libfaketime on this machine",)

    def __init__(self, plan: ServiceClock, context: FaultContext) -> None:
        super().__init__(_with(plan, f"{INSIDE}/{LIBRARY}"), context)
        self._asked = plan

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{format_duration(abs(self._asked.offset))} {'ahead' if self._asked.offset > 0 else 'behind'}"

    def check(self) -> None:
        """As every replacement; a program needs the library here."""
        runner = self.context.system.runner(self.plan.target)
        if isinstance(runner, ProcessRunner):
            found = [path for place in PLACES for path in sorted(Path("/").glob(f"{place}/{LIBRARY}"))]
            if not found:
                raise FaultRefusedError(f"{LIBRARY} is not on this machine: install libfaketime")
            self.plan = _with(self._asked, str(found[0]), str(runner.service.environment.get(PRELOAD) or ""))
        super().check()

    def _create(self, runner: ContainerRunner) -> None:
        image = self.context.client.images.get(runner.handle.image)
        brought = dict(item.split("=", 1) for item in image.attrs["Config"].get("Env") or [])
        loaded = str(runner.service.environment.get(PRELOAD) or brought.get(PRELOAD, ""))
        self.plan = _with(self._asked, f"{INSIDE}/{LIBRARY}", loaded)
        super()._create(runner)
        self._hand_over(self._container())

    def _hand_over(self, container: "Container") -> None:
        """Put the library into what is to stand in, from the agent's image."""
        from docker.errors import APIError  # noqa: PLC0415 - see guard.engine

        client, name = (
            self.context.client,
            f"{self.context.system.handle(self._asked.target).container_name}-clock-{next(_numbers)}",
        )
        labels = {**container.labels}
        intent = self.context.journal.intend("agent", f"helper {name}", ContainerRemove(container=name))
        try:
            helper = client.containers.create(agent_image(client), name=name, labels=labels, network_mode="none")
            place = f"/usr/lib/{_triplet(helper)}/faketime/{LIBRARY}"
            chunks, _ = helper.get_archive(place)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                data = next(file.read() for one in archive if (file := archive.extractfile(one)) is not None)
            container.put_archive("/", _packed(data))
        except APIError as error:
            raise FaultRefusedError(f"the library cannot be put into the container: {error.explanation}") from error
        finally:
            carry_out(intent.undo, client)
            self.context.journal.strike(intent.id)

    def _look(self) -> Proof:
        """As a replacement; and it has the library, and a program beside it is as far off as was asked."""
        proof = super()._look()
        if not proof.held:
            return proof
        problem, off = self._problem(), self._off()
        if problem is None and off is None:
            problem = "no `date` can be asked for the time"
        asked = self._asked.offset
        if problem is None and off is not None and abs(off - asked) > max(SLACK, (1 - ENOUGH) * abs(asked)):
            problem = f"the clock is off by {off:+.0f} s, and {asked:+.0f} s were asked"
        words = "" if off is None else f"a clock that is off by {off:+.0f} s; "
        return Proof(
            held=problem is None, evidence=problem or f"{words}{proof.evidence}", asked=asked, measured=off, unit="s"
        )

    def _problem(self) -> str | None:
        """Why the service's own first process has no such clock, if so."""
        if self._own is not None:
            code, maps = self._runner().run_inside(["cat", "/proc/1/maps"])
            if code:
                return f"whether its first process has the library cannot be seen: {maps.strip()[:100]}"
        else:
            runner = self.context.system.runner(self.plan.target)
            try:
                maps = " ".join(one.path for one in psutil.Process(runner.handle.pid if runner else None).memory_maps())
            except psutil.Error as error:
                return f"its first process cannot be seen: {error}"
        if LIBRARY not in maps:
            return "its first process has not loaded the library: it is linked statically, or by another C library"
        return None

    def _off(self) -> float | None:
        """By how much a program is off that is started as the service was: seconds; None where none can be asked."""
        begun = time.time()
        if self._own is not None:
            code, said = self._runner().run_inside(["date", "+%s"])
        else:
            environment = {key: str(value) for key, value in self.plan.environment.items() if value is not None}
            done = subprocess.run(
                ["date", "+%s"],  # noqa: S607 - whichever the program would find
                capture_output=True,
                text=True,
                env=environment,
                check=False,
                timeout=10,
            )
            code, said = done.returncode, done.stdout
        try:
            return float(int(said)) - (begun + time.time()) / 2 + 0.5 if code == 0 else None
        except ValueError:
            return None


def _with(plan: ServiceClock, library: str, loaded: str = "") -> ServiceReplace:
    """The replacement that it comes to."""
    return ServiceReplace(
        target=plan.target,
        environment={
            PRELOAD: " ".join(filter(None, (library, loaded))),
            "FAKETIME": f"{plan.offset:+.3f}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
        grace=plan.grace,
    )


def _triplet(helper: "Container") -> str:
    """Where Debian has libraries of this architecture."""
    machine = str(helper.image.attrs.get("Architecture", "")) if helper.image is not None else ""
    return {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}.get(machine, f"{machine}-linux-gnu")


def _packed(data: bytes) -> bytes:
    """An archive with the library in its folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo(INSIDE.strip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        file = tarfile.TarInfo(f"{INSIDE.strip('/')}/{LIBRARY}")
        file.size, file.mode = len(data), 0o755
        archive.addfile(file, io.BytesIO(data))
    return buffer.getvalue()

"""resource-disk-full: a file of ours fills a tmpfs or volume of the container."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.resource.helper import HelperFault
from shakedown.faults.resource.inside import HelperProcess, Inside
from shakedown.guard.undo import Undo
from shakedown.plan.faults.resource import ResourceDiskFull
from shakedown.records.experiment import Proof
from shakedown.units import format_share, format_size

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["DiskFullFault", "Space", "parse_space"]

BLOCK = 1024
BEYOND = 2**20  # written beyond what is free, so that the last block goes too
NEAR = 0.02  # how far the measured share may be off
MEMORY_SPARE = 8 * 2**20  # a tmpfs is memory of the container: so much of its limit must be left
HOST_SHARE, HOST_BYTES = 0.05, 10**9  # of the host's disk that stay free, whatever is asked

_SPACE = """
B=$1; $B df -Pk "$3" || exit 9
while read -r line; do echo "$line"; done < /proc/self/mountinfo
"""
# The file removes itself at the deadline.
_FILL = """
B=$1; ( $B sleep "$3"; $B rm -f "$5" ) & $B head -c "$4" /dev/zero > "$5"; wait
"""
_TRY = """
B=$1; $B head -c 65536 /dev/zero > "$3.try"; code=$?; $B rm -f "$3.try"; exit $code
"""
_THERE = '[ -s "$3" ]'
_ABSENT = '[ ! -e "$3" ]'


@dataclass(frozen=True, slots=True)
class Space:
    """A file system as it is seen from inside the container; bytes."""

    mount: str
    kind: str
    used: int
    free: int

    @property
    def share(self) -> float:
        """In use."""
        return self.used / max(self.used + self.free, 1)


def parse_space(text: str) -> Space:
    """From `df -Pk` of one path, and /proc/self/mountinfo behind it.

    Raises:
        ValueError: it is none.
    """
    lines = text.splitlines()
    row = next(line.split(None, 5) for line in lines[1:] if len(line.split()) >= 6)
    mount = row[5]
    kinds = [
        line.split(" - ", 1)[1].split()[0]
        for line in lines
        if " - " in line and line.split(" - ", 1)[0].split()[4] == mount
    ]
    return Space(mount, kinds[-1] if kinds else "", int(row[2]) * BLOCK, int(row[3]) * BLOCK)


class DiskFullFault(HelperFault[ResourceDiskFull]):
    """The fault."""

    mechanism = "a file of zeros in the place, written inside the container"
    proof = "space in use as the container sees it; when all of it is asked, a write that fails with ENOSPC"
    reversal = "the file removed"

    def __init__(self, plan: ResourceDiskFull, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._bytes = 0
        self._lasting = False
        self._goal = 1.0

    @property
    def parameters(self) -> str:
        """For the report."""
        if self.plan.leave is not None:
            return f"{self.plan.path} until {format_size(self.plan.leave)} are left"
        return f"{self.plan.path} to {format_share(self.plan.fill if self.plan.fill is not None else 1.0)}"

    @property
    def _file(self) -> str:
        return f"{self.plan.path.rstrip('/')}/.shakedown-{self.inside.mark}"

    def files(self) -> tuple[str, ...]:
        """The file, and what is left of a try to write that was interrupted."""
        return (self._file, f"{self._file}.try")

    def undo(self) -> Undo:
        """Remove them; on a volume they outlive the container's restart."""
        return self.inside.undo(*self.files(), lasting=self._lasting)

    def check(self) -> None:
        """There is a place that may be filled, and something to fill."""
        super().check()
        space = self._space(self.inside)
        self._lasting = space.kind != "tmpfs"
        whole = space.used + space.free
        if self.plan.leave is not None:
            goal = max(whole - self.plan.leave, 0)
        else:
            goal = round(whole * (self.plan.fill if self.plan.fill is not None else 1.0))
        self._goal = goal / max(whole, 1)
        self._bytes = goal - space.used
        if self._bytes < BLOCK:
            raise FaultRefusedError(
                f"{self.plan.path} of `{self.plan.target}` is {format_share(space.share)} full already; asked are "
                f"{format_share(self._goal)}"
            )
        if self._lasting:
            self._may_fill(space)
        else:
            self._fits_in_memory()
        if self._goal >= 1.0:
            self._bytes += BEYOND

    def _space(self, inside: Inside) -> Space:
        code, text = inside.run(_SPACE, self.plan.path)
        if code:
            raise FaultRefusedError(
                f"{self.plan.path} of `{self.plan.target}` cannot be looked at: {text.strip()[-200:]}"
            )
        try:
            return parse_space(text)
        except (StopIteration, ValueError, IndexError) as error:
            raise FaultRefusedError(
                f"how full {self.plan.path} of `{self.plan.target}` is, is not told: {text[:200]}"
            ) from error

    def _may_fill(self, space: Space) -> None:
        """A place whose space is the host's is filled only as far as was said, and never to its end."""
        if self.plan.at_most is None:
            raise FaultRefusedError(
                f"{self.plan.path} of `{self.plan.target}` is on {space.mount} ({space.kind or 'unknown'}), whose space is the "
                "host's: give `at_most`, or use a tmpfs"
            )
        if self._bytes > self.plan.at_most:
            raise FaultRefusedError(
                f"{format_size(self._bytes)} would have to be written to {self.plan.path}; `at_most` is {format_size(self.plan.at_most)}"
            )
        kept = max(HOST_SHARE * (space.used + space.free), HOST_BYTES)
        if space.free - self._bytes < kept:
            raise FaultRefusedError(
                f"only {format_size(max(space.free - self._bytes, 0))} of the host's disk would stay free; {format_size(kept)} must"
            )

    def _fits_in_memory(self) -> None:
        limit, used = self.before.memory_limit, self.before.memory_firm or 0
        memory = int(self.context.client.info().get("MemTotal") or 0)
        room = (limit if limit is not None else memory // 4) - used - MEMORY_SPARE
        if self._bytes > room:
            raise FaultRefusedError(
                f"a tmpfs is memory: {format_size(self._bytes)} in {self.plan.path} would not fit into what "
                f"`{self.plan.target}` may use ({format_size(max(room, 0))} are left), and the kernel would kill for it"
            )

    def begin(self, seconds: int) -> None:
        """Write."""
        self.inside.start(_FILL, seconds, self._bytes, self._file)

    def whole(self, mine: list[HelperProcess]) -> bool:  # noqa: ARG002 - the file says it
        """The file is there."""
        return self.inside.run(_THERE, self._file)[0] == 0

    def measure(self, container: "Container") -> Proof:  # noqa: ARG002 - the file system says it
        """As full as asked; when all was asked, a write by the service's own user fails."""
        space = self._space(self.inside)
        evidence = f"{format_share(space.share)} of {space.mount} ({space.kind}) in use, {format_size(space.free)} free"
        held = space.share >= self._goal - NEAR and self.whole([])
        if self._goal >= 1.0:
            for user in ("", "0"):  # as the service's own user; as root where that one may not write there at all
                code, text = self.inside.run(_TRY, self._file, user=user)
                if code == 0 or "No space left" in text:
                    break
            full = "No space left" in text
            evidence += (
                ": a write fails with ENOSPC"
                if full
                else ": yet a write succeeds"
                if not code
                else f": {text.strip()[-100:]}"
            )
            held = held and full
        return Proof(held=held, evidence=evidence, asked=self._goal, measured=space.share, unit="%")

    def gone(self) -> Proof:
        """No process and no file of ours."""
        container = self.context.container(self.plan.target)
        if container.status != "running":
            if self._lasting:
                raise FaultError(f"the container is {container.status}: whether our file is gone cannot be seen")
            return Proof(held=True, evidence="the container ended, and its tmpfs with it")
        proof = super().gone()
        if not proof.held or (self.inside.undo().tool and "removed" in proof.evidence):
            return proof
        if any(self.inside.run(_ABSENT, file)[0] for file in self.files()):
            return Proof(held=False, evidence=f"{self._file} is still there")
        return Proof(held=True, evidence=f"{proof.evidence}; our file is gone")

    def close(self) -> None:
        """As every such fault; a file is never left."""
        if self._inside is not None and self._bytes:
            self.inside.run('B=$1; $B rm -f "$3" "$4"', *self.files())
        super().close()

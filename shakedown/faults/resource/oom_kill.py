"""resource-oom-kill: memory beyond the service's limit, so that the kernel kills a process of it.

The process of ours that asks for the memory would be the kernel's own choice, as the largest. So the others' standing in
that choice (`oom_score_adj`) is raised meanwhile: the first process alone, or all by as much, which leaves the choice
among them to the kernel.
"""

import time
from typing import TYPE_CHECKING, Any

import psutil

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.resource.cgroup import CgroupState, read_cgroup
from shakedown.faults.resource.inside import Inside
from shakedown.faults.resource.memory_pressure import FILLER
from shakedown.guard.undo import Undo, carry_out
from shakedown.plan.faults.resource import ResourceOomKill
from shakedown.records.experiment import Proof

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["OomKillFault"]

RAISE = 487  # an odd number: nobody else's
HIGHEST = 1000
LIVES = 15  # seconds; it is done within one
KILLED_WITHIN = 10.0
EXCESS = 8 * 2**20  # beyond the limit: what is killed frees more

_SCORES = """
for p in /proc/[0-9]*; do
  if read -r s < "$p/oom_score_adj" && read -r n < "$p/comm"; then echo "${p#/proc/} $s $n"; fi
done 2>/dev/null
exit 0
"""
_WRITABLE = 'read -r s < /proc/1/oom_score_adj && echo "$s" > /proc/1/oom_score_adj'


class OomKillFault(Fault[ResourceOomKill]):
    """The fault."""

    mechanism = "a process inside the container that asks for memory beyond its limit; the kernel kills for it"
    proof = "the engine's and the cgroup's counts of such kills, and the process that is gone"
    reversal = "our process ended, the others' standing as before; started again if it ended"
    needs = ("a memory limit", "a shell in the image, or a file system that can be written")
    layers = ("journal", "watchdog", "own deadline")

    def __init__(self, plan: ResourceOomKill, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._inside: Inside | None = None
        self._before = CgroupState()
        self._there: dict[int, tuple[int, str]] = {}  # process: its standing, its name
        self._bytes = 0
        self._asked = 0.0
        self._killed: list[str] = []

    @property
    def parameters(self) -> str:
        """For the report."""
        return "the first process" if self.plan.victim == "main" else "the largest process"

    @property
    def _in(self) -> Inside:
        if self._inside is None:
            raise FaultError("the container was never looked into")
        return self._inside

    def check(self) -> None:
        """There is a limit to exceed, and the choice can be steered."""
        container = self.context.running(self.plan.target)
        self._before = read_cgroup(container)
        limit, firm, target = self._before.memory_limit, self._before.memory_firm, self.plan.target
        if limit is None or firm is None:
            raise FaultRefusedError(f"`{target}` has no memory limit: the kernel would kill anywhere on the machine")
        config = container.attrs["HostConfig"]
        if config.get("OomKillDisable"):
            raise FaultRefusedError(f"`{target}` runs with OomKillDisable: the kernel kills nothing for its limit")
        self._inside = Inside(container, self.context.client)
        code, text = self._in.run(_WRITABLE)
        if code:
            raise FaultRefusedError(f"whom the kernel kills in `{target}` cannot be chosen: {text.strip()[-200:]}")
        self._there = self._processes()
        swap = int(config.get("MemorySwap") or 0)
        room = psutil.swap_memory().total
        swappable = room if swap <= 0 else min(max(swap - int(config.get("Memory") or 0), 0), room)
        self._bytes = (limit if self.plan.victim == "main" else limit - firm + EXCESS) + swappable

    def _processes(self) -> dict[int, tuple[int, str]]:
        code, text = self._in.run(_SCORES)
        if code:
            if self._in.ends():
                return {}
            raise FaultError(f"the processes of `{self.plan.target}` cannot be looked at: {text.strip()[-200:]}")
        rows = [line.split(None, 2) for line in text.splitlines()]
        return {int(row[0]): (int(row[1]), row[2]) for row in rows if len(row) == 3 and row[1].lstrip("-").isdigit()}

    def _raised(self) -> dict[int, int]:
        """The standing that each process gets."""
        if self.plan.victim == "main":
            return {1: HIGHEST - 1}
        return {pid: min(score + RAISE, HIGHEST - 1) for pid, (score, _) in self._there.items()}

    def undo(self) -> Undo:
        """Everybody's standing as it was, also that of children since; our process ended; a start, if it ended."""
        back = {after: self._there[pid][0] for pid, after in self._raised().items() if pid in self._there}
        cases = " ".join(f'{after}) echo {before} > "$p/oom_score_adj";;' for after, before in back.items())
        first = (
            'for p in /proc/[0-9]*; do if read -r s < "$p/oom_score_adj"; then '
            f'case "$s" in {cases} esac; fi; done 2>/dev/null\n'
        )
        return self._in.undo(first=first, start=True)

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the filler ends long before
        """Ask for too much, and wait until somebody is killed; then ask for no more."""
        self._asked = time.time()
        raised = "".join(f"echo {score} > /proc/{pid}/oom_score_adj\n" for pid, score in self._raised().items())
        # What is raised is not inherited by the process that asks, which started before.
        self._in.start(f"{{ {raised} }} 2>/dev/null\n{FILLER}", LIVES, self._bytes)
        until = time.monotonic() + KILLED_WITHIN
        while time.monotonic() < until and not self.context.ending:
            container = self.context.container(self.plan.target)
            if self._in.restarted(container):
                break
            if self._kills(container) and (self.plan.victim == "largest" or self._in.ends()):
                break
            time.sleep(0.05)
        left = self._processes()
        if self._in.restarted(self.context.container(self.plan.target)):
            self._killed = [self._there.get(1, (0, "?"))[1]]
            return
        self._killed = [name for pid, (_, name) in self._there.items() if pid not in left]
        carry_out(self._in.undo(), self.context.client)

    def _kills(self, container: "Container") -> int:
        return (read_cgroup(container).oom_kills or 0) - (self._before.oom_kills or 0)

    def effect(self) -> Proof:
        """Counted by the engine or the kernel, and one of the service's own processes is gone."""
        container = self.context.container(self.plan.target)
        state = container.attrs["State"]
        who = ", ".join(self._killed)
        if self._in.restarted(container):
            counted = bool(state.get("OOMKilled")) or self._told(container)
            ended = (
                f"exit code {state['ExitCode']}"
                if not state["Running"]
                else f"it runs again since {state['StartedAt']}"
            )
            return Proof(
                held=counted,
                evidence=f"the kernel killed `{who}`, the container's first process; {ended}"
                if counted
                else f"the container ended, but the engine counts no kill for memory; {ended}",
                asked=1, measured=float(counted), unit="kills",
            )  # fmt: skip
        kills = self._kills(container)
        mine_only = kills > 0 and not self._killed
        evidence = f"{kills} kills counted in the cgroup, of the service `{who or 'nobody'}`"
        if mine_only:
            evidence += ": only our own process was killed"
        held = kills > 0 and bool(self._killed) and self.plan.victim != "main"
        return Proof(held=held, evidence=evidence, asked=1, measured=min(kills, len(self._killed)), unit="kills")

    def _told(self, container: "Container") -> bool:
        """Whether the engine told of such a kill: its state forgets when the container is started again."""
        events: Any = self.context.client.api.events(
            since=int(self._asked),
            until=int(time.time()),
            filters={"container": container.id, "event": "oom"},
            decode=True,
        )
        return any(event.get("Action") == "oom" or event.get("status") == "oom" for event in events)

    def revert(self) -> None:
        """End ours, and start it again."""
        carry_out(self.undo(), self.context.client)

    def gone(self) -> Proof:
        """It runs, and nobody's standing is raised."""
        container = self.context.container(self.plan.target)
        state = container.attrs["State"]
        if not state["Running"]:
            return Proof(held=False, evidence=f"the container is {state['Status']}")
        if self._in.restarted(container):
            return Proof(held=True, evidence=f"the container runs again since {state['StartedAt'][11:23]} UTC")
        now = self._processes() if not self._in.undo().tool else {}
        raised = self._raised()
        left = [pid for pid, (score, _) in now.items() if score == raised.get(pid)]
        return Proof(
            held=not left, evidence=f"the container runs; {len(left)} processes are still the kernel's first choice"
        )

    def close(self) -> None:
        """Nothing is left behind by a fault that was refused after its ground was prepared."""
        if self._inside is not None:
            carry_out(self._inside.undo(), self.context.client)

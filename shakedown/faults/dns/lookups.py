"""What the DNS faults have in common: a resolver of the agent's that gets the target's queries, and what it counted.

That somebody asked is the only proof: clients remember answers, and connections that are open look nothing up. Where
nobody asked, nothing was disturbed, and the fault is not held.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.network.rules import NetworkFault
from shakedown.plan.faults.dns import OnLookUps
from shakedown.records.experiment import Proof
from shakedown.units import format_share

__all__ = ["LookUpFault"]

P = TypeVar("P", bound=OnLookUps)

LOOK_WITHIN = 2.0
LOOKS = 2
REMEMBER = "and whoever remembered an answer, or kept connections open, asked nothing and was not disturbed"


class LookUpFault(NetworkFault[P]):
    """A fault of look-ups; a subclass says what the agent is to do, and what it `shows`."""

    kind: ClassVar[str]
    mechanism = (
        "iptables REDIRECT of port 53, UDP and TCP, at the top of nat OUTPUT in the target's network namespace, before the "
        "engine's own rules for 127.0.0.11, to a resolver of the agent's; other names are passed on"
    )
    proof = "the target's queries that were answered in the asked way, counted by name"
    reversal = (
        "the agent's tagged rules deleted, and nothing else; a look-up in the namespace is told what it was told before"
    )
    needs = ("iptables with nat, REDIRECT, and `mark` or `owner`",)

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._witness = ""
        self._before: dict[str, Any] = {}

    # ---------------------------------------------------------------------------------------------- what subclasses say
    @property
    def shows(self) -> str:
        """Its own parameters, for the report."""
        return ""

    def options(self) -> dict[str, Any]:
        """Its own part of the order."""
        return {}

    # -------------------------------------------------------------------------------------------------------- the steps
    @property
    def parameters(self) -> str:
        """For the report: `200 ms later, api.vendor.test and redis, 30 % of the queries`."""
        names = ", ".join(self.plan.names) or "every name"
        records = [f"records {', '.join(self.plan.records)}"] if self.plan.records else []
        share = [f"{format_share(self.plan.share)} of the queries"] if self.plan.share < 1 else []
        return ", ".join([*([self.shows] if self.shows else []), names, *records, *share])

    def check(self) -> None:
        """An agent is there; what a look-up is told without the fault is noted."""
        super().check()
        if self.agent.abilities["iptables"] is None:
            raise FaultRefusedError(
                "neither iptables-nft nor iptables-legacy works in this kernel: port 53 stays as it is"
            )
        self._witness = self._some_name()
        self._before = self._look()

    def _some_name(self) -> str:
        """A name that is looked up before and after: one of those meant, else one that the engine itself knows."""
        exact = [name for name in self.plan.names if not name.startswith("*.")]
        system = self.context.system
        others = [name for name in system.plan.services if system.lasts(name) and name != self.plan.target]
        return [*exact, *others, self.plan.target][0]

    def _look(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(LOOKS):
            found = self.agent.ask("look-up", name=self._witness, within=LOOK_WITHIN)
            if found["told"] is not None:
                break
        return found

    def inject(self, deadline: float) -> None:
        """Give the order."""
        self.order(
            self.kind, deadline, names=self.plan.names, records=list(self.plan.records), share=self.plan.share,
            seed=f"{self.context.seed}:{self.plan.target}:{self.plan.type}", **self.options(),
        )  # fmt: skip

    def gone(self) -> Proof:
        """No rule of ours is left, and a look-up is told what it was told before."""
        proof = super().gone()
        if not proof.held or self.restarted():
            return proof
        if self._before.get("told") is None:
            return Proof(
                held=True, evidence=f"{proof.evidence}; nobody answered for {self._witness} before the fault either"
            )
        try:
            now = self._look()
        except FaultError:  # the agent is gone, and its rules were removed from outside
            return proof
        same = now["told"] == self._before["told"] and bool(now["addresses"]) == bool(self._before["addresses"])
        words = f"a look-up of {self._witness} is told {_said(now)}"
        return Proof(
            held=same,
            evidence=f"{proof.evidence}; {words}{', as before' if same else f', before {_said(self._before)}'}",
        )

    # ------------------------------------------------------------------------------------------------- words of a proof
    def answered(self, stats: Mapping[str, Any]) -> str:
        """Which queries got which answers, for the evidence."""
        number, others = int(stats["hit"]), int(stats["passed"])
        if number:
            told = " or ".join(
                f"{what} {times} times" if len(stats["told"]) > 1 else what for what, times in stats["told"].items()
            )
            words = [f"{_queries(number)} told {told} ({_counted(stats['names'], int(stats['different']))})"]
        else:
            words = [f"nobody in the target asked for {' or '.join(self.plan.names) or 'any name'}"]
        if others:
            words.append(f"{_queries(others)} passed on ({_counted(stats['others'])})")
        words += [*stats["notes"], *([f"the resolver broke once: {stats['broken']}"] if stats["broken"] else [])]
        return f"{', '.join(words)}, {REMEMBER}"

    def effect(self) -> Proof:
        """Somebody asked and was answered so."""
        stats = self.stats()
        number = int(stats["hit"])
        return Proof(held=number > 0, evidence=self.answered(stats), measured=number, unit="queries")


def _queries(number: int) -> str:
    return f"{number:,} {'query' if number == 1 else 'queries'}"


def _counted(names: Mapping[str, int], different: int = 0) -> str:
    """`redis A 4, redis AAAA 4 and 3 more names`."""
    more = different - len(names)
    words = ", ".join(f"{name} {number}" for name, number in names.items())
    return f"{words} and {more} more names" if more > 0 else words


def _said(answer: Mapping[str, Any]) -> str:
    if answer["told"] is None:
        return "nothing"
    return ", ".join(answer["addresses"]) or str(answer["told"])

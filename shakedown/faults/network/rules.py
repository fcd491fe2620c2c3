"""What the network faults have in common: an agent with its own deadline, and rules that carry one too."""

import secrets
from typing import Any, TypeVar

from shakedown.errors import FaultError
from shakedown.faults.agents import AgentLink
from shakedown.faults.base import Fault, FaultContext
from shakedown.guard.undo import RulesRemove, Undo, carry_out
from shakedown.plan.faults import OnService
from shakedown.records.experiment import Proof

__all__ = ["NetworkFault"]

P = TypeVar("P", bound=OnService)


class NetworkFault(Fault[P]):
    """A fault that the agent inside the target's network namespace brings about."""

    reversal = "the agent's tagged rules deleted, and nothing else"
    needs = ("iptables",)
    layers: tuple[str, ...] = ("journal", "watchdog", "agent deadline", "kernel deadline where there is `-m time`")

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.layers = ("journal", "watchdog", "agent deadline")
        self._tag = f"shakedown:{secrets.token_hex(6)}"
        self._agent: AgentLink | None = None

    @property
    def agent(self) -> AgentLink:
        """The agent, once it is there."""
        if self._agent is None:
            raise FaultError("the agent was never started")
        return self._agent

    def check(self) -> None:
        """The target runs, and an agent beside it answers and has tools that work."""
        self._agent = self.context.agents.beside(self.plan.target, self.context.running(self.plan.target))

    def undo(self) -> Undo:
        """Remove the tagged rules, through a fresh helper if need be."""
        container = str(self.context.system.handle(self.plan.target).container)
        return RulesRemove(container=container, tag=self._tag, image=self.agent.image)

    def order(self, kind: str, deadline: float, **order: object) -> None:
        """Give the order that injects the fault."""
        answer = self.agent.ask("inject", kind=kind, tag=self._tag, deadline=deadline, **order)
        if answer.get("timed"):
            self.layers = (*self.layers, "kernel deadline")

    def stats(self) -> dict[str, Any]:
        """What the agent counted so far, of this fault."""
        return self.agent.ask("stats", tag=self._tag)

    def still(self) -> Proof | None:
        """Every rule of ours is still there, and what was counted to the end."""
        return self.missing() or self.effect()

    def missing(self) -> Proof | None:
        """Says so when somebody has removed rules of ours."""
        stats = self.stats()
        there, placed = int(stats["rules"]), int(stats["placed"])
        if there >= placed:
            return None
        return Proof(held=False, evidence=f"{placed - there} of our {placed} rules were removed by somebody else")

    def revert(self) -> None:
        """Ask the agent, and nobody before it: the engine may take its time. If it is gone, remove the rules from outside."""
        try:
            self.agent.ask("revert", tag=self._tag)
        except FaultError:
            if not self.restarted():
                carry_out(self.undo(), self.context.client)

    def gone(self) -> Proof:
        """No rule with our tag is left in the namespace."""
        if self.restarted():
            return Proof(
                held=True, evidence="the target was restarted: its network namespace, and every rule in it, is gone"
            )
        try:
            rules = int(self.stats()["rules"])
        except FaultError:
            return Proof(held=True, evidence=carry_out(self.undo(), self.context.client))
        return Proof(held=rules == 0, evidence=f"{rules} rules of ours in the target's network namespace")

    def restarted(self) -> bool:
        """Whether the target's namespace is gone."""
        state = self.context.container(self.plan.target).attrs["State"]
        return not state["Running"] or str(state["StartedAt"]) != self.agent.namespace

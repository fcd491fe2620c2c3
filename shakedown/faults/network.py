"""What the network faults have in common: an agent with its own deadline, and rules that carry one too."""

import secrets
from typing import Any

from shakedown.errors import FaultError
from shakedown.faults.base import FaultContext
from shakedown.faults.link import AgentLink
from shakedown.guard.undo import RulesRemove, Undo, carry_out
from shakedown.records.experiment import Proof

__all__ = ["NetworkFault"]


class NetworkFault:
    """A fault made of packet rules inside the target's network namespace."""

    def __init__(self, target: str, context: FaultContext) -> None:
        self._target = target
        self._context = context
        self._tag = f"shakedown:{secrets.token_hex(6)}"
        self._agent: AgentLink | None = None
        self._namespace = ""
        self.layers: tuple[str, ...] = ("journal", "watchdog", "agent deadline")

    @property
    def agent(self) -> AgentLink:
        """The agent, once it is there."""
        if self._agent is None:
            raise FaultError("the agent was never started")
        return self._agent

    def check(self) -> None:
        """The target runs, and an agent beside it answers and has tools that work."""
        self._namespace = str(self._context.running(self._target).attrs["State"]["StartedAt"])
        self._agent = AgentLink(self._context, self._target)

    def undo(self) -> Undo:
        """Remove the tagged rules, through a fresh helper if need be."""
        container = str(self._context.system.handle(self._target).container)
        return RulesRemove(container=container, tag=self._tag, image=self.agent.image)

    def order(self, do: str, deadline: float, **order: object) -> None:
        """Give the order that injects the fault."""
        answer = self.agent.ask(do, tag=self._tag, deadline=deadline, **order)
        if answer.get("timed"):
            self.layers = (*self.layers, "kernel deadline")

    def stats(self) -> dict[str, Any]:
        """What the agent counted so far."""
        return self.agent.ask("stats")

    def revert(self) -> None:
        """Ask the agent; if it is gone, remove the rules from outside."""
        if self._restarted():
            return
        try:
            self.agent.ask("revert")
        except FaultError:
            carry_out(self.undo(), self._context.client)

    def gone(self) -> Proof:
        """No rule with our tag is left in the namespace."""
        if self._restarted():
            return Proof(
                held=True, evidence="the target was restarted: its network namespace, and every rule in it, is gone"
            )
        try:
            rules = int(self.stats()["rules"])
        except FaultError:
            return Proof(held=True, evidence=carry_out(self.undo(), self._context.client))
        return Proof(held=rules == 0, evidence=f"{rules} rules of ours in the target's network namespace")

    def close(self) -> None:
        """Remove the agent; connections that still go through its proxy end with it."""
        if self._agent is not None:
            self._agent.close()

    def _restarted(self) -> bool:
        state = self._context.container(self._target).attrs["State"]
        return not state["Running"] or str(state["StartedAt"]) != self._namespace

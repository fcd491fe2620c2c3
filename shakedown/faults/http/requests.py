"""What the faults of HTTP answers have in common: the proxy reads HTTP/1, and disturbs the answers to some requests."""

from pathlib import Path
from typing import Any, ClassVar, TypeVar

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.http.counts import RequestCounts
from shakedown.faults.http.tls import tls_of, tls_order, tls_problem, tls_words
from shakedown.faults.network.proxied import IN_FRONT, REDIRECTED, ProxiedFault
from shakedown.plan.faults.http import OnRequests, glob_pattern
from shakedown.plan.services import listening_ports
from shakedown.records.experiment import Proof
from shakedown.units import format_share

__all__ = ["HttpProxyFault"]

P = TypeVar("P", bound=OnRequests)


class HttpProxyFault(ProxiedFault[P]):
    """A fault of the answers to requests; a subclass says its `act`, the `act_parameters`, and what it `does`."""

    kind = "http"
    act: ClassVar[str]
    mechanism = (
        f"HTTP/1 read in the proxy: {REDIRECTED}; open connections reset once. Processes and outside URLs: {IN_FRONT}"
    )
    proof = "requests that matched and answers that were disturbed, counted; what clients were told"

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._tls: dict[str, Any] | None = None

    @property
    def does(self) -> str:
        """What happens to an answer, for the report."""
        raise NotImplementedError

    def act_parameters(self) -> dict[str, Any]:
        """What the agent's act is given."""
        return {}

    @property
    def shows(self) -> str:
        """For the report: `503 for 30 % of POST /pay`."""
        plan, which = self.plan, self.plan.chosen or "all requests"
        if plan.first is not None:
            which = f"the first {plan.first} of {which}"
        elif plan.every is not None:
            which = f"every {_ordinal(plan.every)} of {which}"
        elif plan.share < 1:
            which = f"{format_share(plan.share)} of {which}"
        return f"{self.does} for {which}"

    @property
    def parameters(self) -> str:
        """As of every fault of the proxy; but the share is one of requests, and told with them."""
        return super().parameters.removesuffix(f", {format_share(self.plan.share)} of them")

    def options(self) -> dict[str, Any]:
        """Which requests, and what happens to their answers."""
        plan = self.plan
        choice = {
            "methods": plan.methods,
            "path": plan.path_regex or (glob_pattern(plan.path) if plan.path else None),
            "headers": {name: glob_pattern(value) for name, value in plan.headers.items()},
            "share": plan.share, "first": plan.first, "every": plan.every,
        }  # fmt: skip
        return {"choice": choice, "act": self.act, "parameters": self.act_parameters(), "tls": self._tls}

    def check(self) -> None:
        """As every fault of the proxy; where TLS is to end in it, the service's certificate is accepted."""
        super().check()
        self.mechanism = f"HTTP/1 read in the proxy: {self.mechanism}"
        given = tls_of(self.plan, self.context.system.plan)
        if given is not None:
            self._tls = tls_order(given[0], self.context.system.base, names=given[1])
            self.mechanism += (
                "; TLS ends in the proxy, with the plan's certificate, and begins anew towards the service"
            )
            self._look_at_service()

    def order_in_front(self, seed: object) -> tuple[str, dict[str, Any]]:
        """As every fault of the proxy; by itself, without a run, files are those of the folder it was started in."""
        if self._tls is None and self.plan.tls is not None:
            self._tls = tls_order(self.plan.tls, Path.cwd(), names=True)
        return super().order_in_front(seed)

    def _look_at_service(self) -> None:
        """Whether the service behind is accepted at all, before its clients feel that it is not.

        Raises:
            FaultRefusedError: it is not.
        """
        assert self._tls is not None  # noqa: S101 - checked by the caller
        if self._front is not None or not self._tls["verify"]:
            return
        towards = {key: self._tls.get(key) for key in ("ca", "verify", "server_name")}
        for name, places in self._places().items():
            answers = self._ask("look-at-tls", places=places, name=name, **towards)["found"]
            for (_, port), why in zip(places, answers, strict=True):
                if why is not None:
                    raise FaultRefusedError(
                        f"the certificate that `{name}` shows at port {port} is not accepted: {why}; "
                        "give its authority as `tls: {ca: FILE}`, or say `verify: false`"
                    )

    def _places(self) -> dict[str, list[tuple[str, int]]]:
        """Where the services that are called answer."""
        plan, services = self.plan, self.context.system.plan.services
        called = [plan.target] if plan.direction in ("in", "both") else []
        if plan.direction in ("out", "both"):
            called += plan.peers
        return {
            name: [
                (address, port)
                for address in self._addresses(name)[:1]
                for port in plan.ports or listening_ports(services[name])
            ]
            for name in called
        }

    def met(self, stats: dict[str, Any]) -> str:
        """Which requests it met, and on which connections."""
        words = [RequestCounts.of(stats, self.plan).words(), tls_words(stats["tls"]), super().met(stats)]
        return "; ".join(filter(None, words))

    def effect(self) -> Proof:
        """Requests matched, and the answers to those that were chosen were disturbed."""
        stats = self.stats()
        counts = RequestCounts.of(stats, self.plan)
        asked, measured, unit = self.strength(counts)
        problem = tls_problem(stats["tls"]) or counts.problem() or self.weakness(counts)
        evidence = f"{problem or 'as asked'}: {self.met(stats)}; {self.own_cost()}"
        return Proof(held=problem is None, evidence=evidence, asked=asked, measured=measured, unit=unit)

    def strength(self, counts: RequestCounts) -> tuple[float | None, float | None, str]:
        """How strong it was to be and how strong it was; of a fault without a measure of its own, how many were disturbed."""
        return counts.asked, counts.measured, counts.unit

    def weakness(self, counts: RequestCounts) -> str | None:  # noqa: ARG002 - subclasses look
        """What there is to say against its effect, although answers were disturbed."""
        return None

    def gone(self) -> Proof:
        """As of every fault of the proxy; and no request is chosen any more."""
        proof = super().gone()
        if not proof.held or (self._front is None and self.restarted()):
            return proof
        try:
            active = bool(self.stats()["active"])
        except FaultError:  # the agent is gone, and the proxy with it
            return proof
        return Proof(
            held=not active, evidence=f"{proof.evidence}; requests are {'still' if active else 'no longer'} disturbed"
        )


def _ordinal(number: int) -> str:
    """`3rd`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"

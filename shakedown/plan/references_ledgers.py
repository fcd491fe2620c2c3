"""What is wrong with ledgers and invariants, seen with everything around them."""

from collections.abc import Callable, Iterator, Sequence

from shakedown.errors import PlanProblem
from shakedown.plan.checks import compile_checks
from shakedown.plan.document import Document, Path
from shakedown.plan.drivers import Python, Write
from shakedown.plan.ledgers import Ledger, LedgerListing, LedgerRead
from shakedown.plan.model import Plan
from shakedown.plan.probes import URL_PORT
from shakedown.plan.profiles import nearest
from shakedown.plan.requests import Http, Request
from shakedown.plan.templates import is_constant, template_problem

__all__ = ["ledger_problems"]

_LISTING_NAMES = frozenset({"page", "offset", "cursor"})
Port = Callable[[Path, str], Iterator[PlanProblem]]


def ledger_problems(plan: Plan, document: Document, port: Port) -> Iterator[PlanProblem]:
    """Every problem of a plan's ledgers and invariants.

    Args:
        port: what is wrong with a `service.port-name`.
    """
    used = {ledger for scenario in plan.scenarios.values() for ledger in scenario.ledgers}
    for name, ledger in plan.ledgers.items():
        path: Path = ("ledgers", name)
        for key, way in ledger.ways.items():
            if way.target is not None:
                yield from port((*path, key, "target"), way.target)
            names = frozenset({"key"}) if key == "read" else _LISTING_NAMES
            for part in [way.get] if way.get is not None else [str(one) for one in way.redis or ()]:
                if problem := template_problem(part, names):
                    yield document.problem((*path, key, way.kind), problem)
        if ledger.read is not None:
            yield from _of_read(document, (*path, "read"), ledger.read)
        if ledger.list_ is not None:
            yield from _of_listing(document, (*path, "list"), ledger.list_)
        if name not in used:
            yield document.problem(path, "no request writes into this ledger", f"say `ledger: {name}` at a request")
        else:
            yield from _comparable(plan, document, path, name, ledger)
    for name, invariant in plan.invariants.items():
        path = ("invariants", name)
        service = plan.services.get(invariant.service)
        if service is None:
            known = ", ".join(plan.services) or "none"
            message = f"no such service: `{invariant.service}`; the plan has {known}"
            yield document.problem((*path, "service"), message, nearest(invariant.service, list(plan.services)))
            continue
        asked = [("url", match[1]) for match in URL_PORT.finditer(invariant.url or "")]
        asked += [("http", invariant.http.partition(":")[0])] if invariant.http is not None else []
        for key, port_name in asked:
            yield from port((*path, key), f"{invariant.service}.{port_name}")


def _of_read(document: Document, path: Path, read: LedgerRead) -> Iterator[PlanProblem]:
    asked = [read.get] if read.get is not None else [str(part) for part in read.redis or ()]
    if read.sql is None and all(map(is_constant, asked)):
        yield document.problem((*path, read.kind), "every key would be looked for in the same place", "write {{ key }}")
    for index, check in enumerate(read.checks):
        try:
            compile_checks([check])
        except ValueError as error:
            yield document.problem((*path, "checks", index), str(error))


def _of_listing(document: Document, path: Path, listing: LedgerListing) -> Iterator[PlanProblem]:
    if listing.get is None:
        return
    if listing.next is not None and "cursor" not in listing.get:
        yield document.problem(
            (*path, "get"), "`next` gives a cursor, and the path does not use it", "?after={{ cursor }}"
        )
    if listing.next is None and is_constant(listing.get):
        return  # one page holds it all


def _comparable(plan: Plan, document: Document, path: Path, name: str, ledger: Ledger) -> Iterator[PlanProblem]:
    """Whether what is read can be compared with what is noted: a value on one side alone would never be looked at."""
    values, orders = {way.has_value for way in ledger.ways.values()}, [way.has_position for way in ledger.ways.values()]
    for scenario_name, scenario in plan.scenarios.items():
        spoken = scenario.spoken
        if isinstance(spoken, Python):
            continue
        operations: Sequence[Request | Write] = spoken.all_requests if isinstance(spoken, Http) else spoken.operations
        for operation in operations:
            if operation.ledger != name:
                continue
            what = f"`{operation.name}` of `{scenario_name}`"
            removes = operation.removes if operation.removes is not None else getattr(operation, "delete", None)
            if operation.value is not None and not any(values):
                message = f"{what} notes a `value`, and the ledger does not say where to find it"
                yield document.problem(path, message, "give `value` under `read` or `list`")
            if operation.value is None and all(values) and not removes:
                message = f"{what} notes no `value` to compare with"
                yield document.problem(
                    path, message, f"give `value:` at `{operation.name}`, such as '{{{{ body.text }}}}'"
                )
            if operation.ordered_by is not None and not any(orders):
                message = f"{what} says `ordered_by`, and the ledger does not say in which order things were stored"
                yield document.problem(
                    path, message, "give `position` under `read` or `list`, or `ordered: true` under `list`"
                )

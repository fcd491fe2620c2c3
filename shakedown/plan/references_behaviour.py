"""What is wrong with what a plan says of the system's behaviour: names that are not there, limits that mean nothing."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from shakedown.plan.behaviour import BehaviourExpect, call_sources, split_series
from shakedown.plan.faults.base import no_such
from shakedown.plan.profiles import nearest

if TYPE_CHECKING:
    from shakedown.plan.model import FaultsStage, Plan

__all__ = ["expect_problems", "stage_problems"]

BehaviourProblem = tuple[tuple[str | int, ...], str, str | None]  # where, what is wrong, a hint


def stage_problems(plan: "Plan", stage: "FaultsStage") -> Iterator[BehaviourProblem]:
    """Of the stage's own keys: `core`, `calls`, `breakers`."""
    yield from _requests(plan, stage, ("core", "requests"), stage.core.requests)
    for name, source in stage.calls.items():
        where = ("calls", name)
        if name not in plan.services:
            yield where, *no_such("service", name, plan.services)
        for index, text in enumerate(source.count):
            yield from _series(plan, (*where, "count", index), text)
        if source.at_once is not None:
            yield from _series(plan, (*where, "at_once"), source.at_once)
        yield from _requests(plan, stage, (*where, "per"), source.per)
    for name, breaker in stage.breakers.items():
        if name not in plan.services:
            yield ("breakers", name), *no_such("service", name, plan.services)
        for key in ("state", "opened"):
            if (text := getattr(breaker, key)) is not None:
                yield from _series(plan, ("breakers", name, key), text)


def expect_problems(plan: "Plan", stage: "FaultsStage", expect: BehaviourExpect) -> Iterator[BehaviourProblem]:
    """Of an experiment's `expect`."""
    sources = call_sources(plan)
    counted = f"calls are counted at {', '.join(sources)}" if sources else "no calls are counted"
    if expect.core is not None:
        yield from _requests(plan, stage, ("core", "requests"), expect.core.requests)
    if (breaker := expect.breaker) is not None:
        if breaker.of not in plan.services:
            yield ("breaker",), *no_such("service", breaker.of, plan.services)
        elif breaker.of not in sources and breaker.of not in stage.breakers:
            hint = (
                f"say under `stages.faults` what counts them: `calls: {{{breaker.of}: SERVICE.SERIES}}`, or `breakers`"
            )
            yield ("breaker",), f"nothing shows a breaker before `{breaker.of}`: {counted}", hint
    for key in ("amplification", "herd"):
        part = getattr(expect, key)
        for index, name in enumerate(part.of if part is not None and sources else ()):
            if name not in sources:
                yield (key, "of", index), f"no calls are counted at `{name}`; {counted}", nearest(name, list(sources))
        if part is not None and not sources:
            yield (
                (key,),
                f"`{key}` cannot be judged: {counted}",
                "say under `stages.faults` what counts them: `calls: {DEPENDENCY: SERVICE.SERIES}`",
            )
    if expect.herd is not None and expect.herd.at_once is not None and not any(one.at_once for one in sources.values()):
        yield ("herd", "at_once"), "no dependency has `at_once` under `stages.faults.calls`", None
    for index, name in enumerate(expect.cascade):
        if name not in plan.services:
            yield ("cascade", index), *no_such("service", name, plan.services)
    if expect.longest is not None:
        yield from _patience(plan, stage, expect.longest)


def _patience(plan: "Plan", stage: "FaultsStage", longest: float) -> Iterator[BehaviourProblem]:
    scenario = plan.scenarios.get(stage.load.use)
    limits = [one.timeout.total for one in scenario.http.all_requests] if scenario is not None else []
    if limits and longest > max(limits):
        message = f"no client ever waits longer than {longest:g} s: all of this load give up after {max(limits):g} s"
        yield ("longest",), message, "give a shorter `longest`, or the requests a longer `timeout`"


def _requests(
    plan: "Plan", stage: "FaultsStage", where: tuple[str | int, ...], names: Iterable[str]
) -> Iterator[BehaviourProblem]:
    scenario = plan.scenarios.get(stage.load.use)
    known = scenario.operations if scenario is not None else []
    for index, name in enumerate(names):
        if scenario is not None and name not in known:
            yield (*where, index), f"no such request: `{name}`; the load has {', '.join(known)}", nearest(name, known)


def _series(plan: "Plan", where: tuple[str | int, ...], text: str) -> Iterator[BehaviourProblem]:
    service, series = split_series(text)
    if service not in plan.services:
        yield where, *no_such("service", service, plan.services)
    elif plan.services[service].metrics is None and series not in plan.services[service].probes:
        yield (
            where,
            f"`{service}` has no metrics to take `{series}` from",
            'give the service `metrics: {prometheus: "PORT:/metrics"}`, or a probe of that name',
        )

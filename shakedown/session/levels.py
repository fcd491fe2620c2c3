"""A load on one level after another: in the plan's steps, or in search of the highest that still holds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shakedown.plan.model import Capacity, Steps, UseScenario
from shakedown.plan.thresholds import parse_threshold
from shakedown.plan.uses import label_of
from shakedown.records.judgement import Finding, Severity, ThresholdResult
from shakedown.records.load import LoadResult
from shakedown.session.judging import default_thresholds, judge_thresholds, show_value
from shakedown.session.live import Session
from shakedown.session.measure import measure_load
from shakedown.verdict import Verdict, combine

__all__ = ["Level", "bisect", "judge_levels", "measure_levels", "own_thresholds"]

MOST_PROBES = 40


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a load, measured and judged on its own.

    Attributes:
        height: the rate per second, or the number of users.
        starved: why the generator, not the system, was the limit; empty when it was not.
    """

    height: float
    load: LoadResult
    results: tuple[ThresholdResult, ...]
    starved: str = ""

    @property
    def verdict(self) -> Verdict:
        """All of its thresholds together."""
        return combine(result.verdict for result in self.results)

    @property
    def words(self) -> str:
        """What decided, for people."""
        decisive = [result for result in self.results if result.verdict is self.verdict]
        return "; ".join(
            f"{result.text}: {show_value(result.actual, result.unit)}"
            + (f" ({result.reason})" if result.reason else "")
            for result in decisive
        )


def measure_levels(session: Session, use: UseScenario, stage: str, texts: Sequence[str]) -> list[Level]:
    """Measure a load on every level of its steps, or on those that the search for its capacity asks for.

    Args:
        texts: the stage's thresholds; those about this load are judged on each level.

    Raises:
        Interrupted: the run is to end; what was measured is stored.
        LoadError: the load could not be run.
    """
    own = own_thresholds(use, texts)
    levels: dict[float, Level] = {}

    def measure(height: float) -> Level:
        if levels:
            session.stop.wait(pause)
            session.check_stop()
        level = levels[height] = _measure(session, use, stage, own, height)
        session.say("load", f"{label_of(use)}@{height:g}", f"{level.verdict}: {level.words}")
        return level

    if use.steps is not None:
        pause = use.steps.pause
        for height in use.steps.levels:
            measure(height)
    elif use.capacity is not None:
        pause = use.capacity.pause
        bisect(use.capacity, measure)
    return [levels[height] for height in sorted(levels)]


def own_thresholds(use: UseScenario, texts: Sequence[str]) -> list[str]:
    """The thresholds about one load, and the default when they do not judge it."""
    own = [text for text in texts if parse_threshold(text).subject == label_of(use)]
    return [*own, *default_thresholds([use], own)]


def bisect(capacity: Capacity, measure: Callable[[float], Level]) -> None:
    """Search for the highest rate that holds, halving the interval of logarithms each time.

    Ends when the bounds are within the precision, and at once when the generator is the limit: above that rate nothing
    can be learned here.
    """
    low, high = capacity.lowest, capacity.highest
    if measure(low).verdict is not Verdict.PASSED:
        return
    top = measure(high)
    if top.verdict is Verdict.PASSED or top.starved:
        return
    for _ in range(MOST_PROBES):
        if high / low - 1 <= capacity.precision:
            return
        middle = float(f"{math.sqrt(low * high):.3g}")
        if not low < middle < high:
            return
        level = measure(middle)
        if level.starved:
            return
        if level.verdict is Verdict.PASSED:
            low = middle
        else:
            high = middle


def _measure(session: Session, use: UseScenario, stage: str, texts: Sequence[str], height: float) -> Level:
    label = label_of(use)
    part = use.steps or use.capacity
    assert part is not None  # noqa: S101 - whoever calls looked
    kind = "vus" if use.steps is not None and use.steps.vus else "rate"
    changes = {
        "label": f"{label}@{height:g}", "duration": part.duration, "steps": None, "capacity": None,
        kind: int(height) if kind == "vus" else height,
    }  # fmt: skip
    load = measure_load(session, use.model_copy(update=changes), stage)
    scope = f"{label}@{height:g}"
    if use.capacity is not None:
        scope += ", searching"  # what fails here fails nothing else
    elif use.steps is not None and use.steps.required is not None and height > use.steps.required:
        scope += ", beyond what is required"
    results = judge_thresholds(session, stage, texts, loads=[replace(load, load=label)], scope=scope)
    return Level(height, load, tuple(results), load.generator.starved or "")


def judge_levels(session: Session, use: UseScenario, stage: str, levels: Sequence[Level]) -> tuple[Verdict, str]:
    """The verdict on a load's levels, with a finding that says where it broke."""
    label = label_of(use)
    broken = next((level for level in levels if level.verdict is not Verdict.PASSED), None)
    held = [level.height for level in levels if level.verdict is Verdict.PASSED]
    if use.steps is not None:
        verdict, title = _judge_steps(label, use.steps, levels, broken)
    else:
        assert use.capacity is not None  # noqa: S101 - whoever calls looked
        verdict, title = _judge_capacity(label, use.capacity, levels, held)
    if title:
        evidence = tuple(f"{level.height:g}: {level.verdict}, {level.words}" for level in levels)
        session.find(stage, Finding(Severity.NOTE, title, evidence=evidence, subject=label))
    return verdict, title if verdict is not Verdict.PASSED else ""


def _judge_steps(label: str, steps: Steps, levels: Sequence[Level], broken: Level | None) -> tuple[Verdict, str]:
    unit = " users" if steps.vus else "/s"
    required = steps.required if steps.required is not None else max(steps.levels)
    verdict = combine(level.verdict for level in levels if level.height <= required)
    if broken is None:
        return verdict, f"{label} holds on every level, up to {levels[-1].height:g}{unit}"
    return verdict, f"{label} breaks at {broken.height:g}{unit}: {broken.words}"


def _judge_capacity(
    label: str, capacity: Capacity, levels: Sequence[Level], held: Sequence[float]
) -> tuple[Verdict, str]:
    starved = next((level for level in levels if level.starved), None)
    broken = [level.height for level in levels if level.verdict is not Verdict.PASSED and not level.starved]
    if not held:
        if starved is not None:
            return Verdict.INCONCLUSIVE, f"{label}: no capacity was found: {starved.starved}"
        return Verdict.FAILED, f"{label} does not even hold {capacity.lowest:g}/s: {levels[0].words}"
    best = max(held)
    bound = f"; {min(broken):g}/s is too much" if broken else "; the search went no higher"
    if starved is not None:
        bound = f"; above, the generator was the limit: {starved.starved}"
    title = f"{label} holds {best:g}/s{bound}"
    if capacity.required is None or best >= capacity.required:
        return Verdict.PASSED, title
    # With a generator at its end, a capacity that was asked for is neither shown nor refuted.
    return (
        Verdict.INCONCLUSIVE if starved is not None else Verdict.FAILED
    ), f"{title}, {capacity.required:g}/s required"

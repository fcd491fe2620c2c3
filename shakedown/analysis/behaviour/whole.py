"""All questions about one experiment's behaviour, asked of one scene: what was measured, and what the plan expects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from shakedown.analysis.behaviour import findings
from shakedown.analysis.behaviour.breaker import (
    BreakerJudged,
    breaker_seen,
    judge_breaker,
    told_by_counter,
    told_by_state,
)
from shakedown.analysis.behaviour.calls import FEW, Phases, calls_seen
from shakedown.analysis.behaviour.cascade import Ceiling, dependents, falls, unexpected
from shakedown.analysis.behaviour.counters import Counter, add_up
from shakedown.analysis.behaviour.demand import Demand, demand_of
from shakedown.analysis.behaviour.metastable import metastable
from shakedown.analysis.behaviour.served import judge_core, served_in
from shakedown.analysis.behaviour.waits import SHOWN, beyond, longest_waits
from shakedown.plan.behaviour import BehaviourExpect, BehaviourStage, CallSource, Core, split_series
from shakedown.records.behaviour import BehaviourRecord, BreakerSeen, CallsSeen, Fall, Served, Wait
from shakedown.records.judgement import Finding, Severity
from shakedown.records.load import LoadResult
from shakedown.records.observation import ProbeResult, Sample
from shakedown.units import format_duration, format_number
from shakedown.verdict import Verdict

__all__ = ["Behaviour", "Scene", "judge_scene"]

NOTED_STORM, NOTED_HERD = 2.0, 5.0  # times the usual: noted, when the plan asks nothing
GOES_ON = 0.5
QUICK, MOSTLY, ENOUGH_LOOKS = 0.25, 0.95, 20  # health checks of who has nothing to do with it: seconds, share, number
LONG_FAULT = 5.0  # seconds, to miss a breaker that nobody asked for
_DEAD = ("service-kill", "service-stop", "service-pause", "network-blackhole", "network-refused", "network-partition",
         "http-abort", "http-hang")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one experiment's behaviour comes to.

    Attributes:
        record: what was measured; stored as `RecoveryMeasurement.behaviour`.
        findings: what a reader must know; one of severity failure fails the stage by itself.
        parts: verdicts with their reasons, which count in the experiment's own verdict.
        not_recovered: what is to be said of a system that did not come back, where more is known than that.
    """

    record: BehaviourRecord | None = None
    findings: tuple[Finding, ...] = ()
    parts: tuple[tuple[Verdict, str], ...] = ()
    not_recovered: Finding | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that one experiment's behaviour is read from.

    Attributes:
        name: of the experiment.
        faults: the types of its faults.
        victims: the services that were disturbed; None when nobody can say which.
        client: the service that the load talks to; empty for none.
        phases: when what was.
        watched_until: the end of the watching for recovery.
        requests: of the load, by name: how long clients wait for each at most, seconds.
        marked: requests whose degraded answers bear a marker.
        sources: by dependency, what counts its calls.
        recover_within: seconds.
        relieved: whether it came back when the load was reduced; None when that was not tried.
        crowded: why slowness may be the machine's, in a sentence; empty when it is not.
    """

    name: str
    faults: Sequence[str]
    victims: frozenset[str] | None
    client: str
    phases: Phases
    watched_until: float
    load: LoadResult
    stage: BehaviourStage
    expect: BehaviourExpect
    requests: Mapping[str, float | None]
    recover_within: float
    recovered: bool
    marked: frozenset[str] = frozenset()
    probes: Sequence[ProbeResult] = ()
    samples: Sequence[Sample] = ()
    sources: Mapping[str, CallSource] = field(default_factory=dict)
    depends_on: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ceilings: Mapping[str, Ceiling] = field(default_factory=dict)
    relieved: bool | None = None
    crowded: str = ""


def judge_scene(scene: Scene) -> Behaviour:
    """Ask everything."""
    return _Judge(scene).judge()


class _Judge:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.victims = sorted(scene.victims or ())
        self.findings: list[Finding] = []
        self.parts: list[tuple[Verdict, str]] = []

    def judge(self) -> Behaviour:
        scene = self.scene
        core = scene.expect.core if scene.expect.core is not None else scene.stage.core
        served = served_in(
            scene.load, dict(scene.phases.items()), scene.requests, marked=scene.marked, core=core.requests
        )
        found = self.falls()
        self.core_and_cascade(core, served, found)
        waits = self.waits()
        calls = tuple(self.calls(dependency, source) for dependency, source in scene.sources.items())
        self.storms(calls)
        self.herds(calls)
        breakers = self.breakers(served)
        kept = metastable(
            calls, demand_of(scene.load), scene.phases, recovered=scene.recovered, relieved=scene.relieved
        )
        return Behaviour(
            BehaviourRecord(served, tuple(waits[:SHOWN]), scene.expect.longest, calls, breakers, found, kept),
            tuple(self.findings), tuple(self.parts),
            findings.in_metastable_state(scene.name, kept) if kept else None,
        )  # fmt: skip

    def _find(self, finding: Finding) -> None:
        self.findings.append(finding)
        if finding.severity is Severity.FAILURE:
            self.parts.append((Verdict.FAILED, finding.title))
        elif finding.severity is Severity.DOUBT:
            self.parts.append((Verdict.INCONCLUSIVE, f"{finding.title}; {self.scene.crowded}"))

    def _unless_crowded(self, finding: Finding) -> Finding:
        """A finding of slowness alone is a doubt where others kept the machine busy."""
        if not self.scene.crowded:
            return finding
        return replace(finding, severity=Severity.DOUBT, evidence=(self.scene.crowded, *finding.evidence))

    # ----------------------------------------------------------------------------------------------- core, and cascade
    def falls(self) -> tuple[Fall, ...]:
        scene = self.scene
        services = list(scene.depends_on)
        known = scene.victims is not None  # else whatever falls may have been disturbed
        excused = dependents(scene.depends_on, scene.victims or ()) | set(scene.expect.cascade) if known else services
        return falls(
            scene.probes, scene.samples, scene.phases.before, scene.phases.during[0], scene.phases.after[1],
            excused=excused, ceilings=scene.ceilings, services=services,
        )  # fmt: skip

    def core_and_cascade(self, core: Core, served: Sequence[Served], found: Sequence[Fall]) -> None:
        scene, name = self.scene, self.scene.name
        judged = judge_core(served, share=core.share, within=core.within)
        self.parts += [(one.verdict, one.words) for one in judged if one.verdict is Verdict.INCONCLUSIVE]
        lost = [one.words for one in judged if one.verdict is Verdict.FAILED]
        others = [fall for fall in found if fall.service not in self.victims]
        if lost and scene.client in self.victims:
            self._find(findings.core_lost(name, lost, served, self.victims))
            lost = []
        without = unexpected(others)
        if lost or without:
            finding = findings.cascade(name, self.victims or ["the fault"], lost, others, served)
            slow = not lost and all(fall.what == "unhealthy" for fall in without)
            self._find(self._unless_crowded(finding) if slow else finding)
        elif others:
            self._find(findings.fallen_with_reason(name, self.victims or ["the fault"], others))

    # ----------------------------------------------------------------------------------------------------------- waits
    def waits(self) -> list[Wait]:
        scene, limit = self.scene, self.scene.expect.longest
        found = longest_waits(scene.load, scene.phases.during[0], scene.watched_until)
        if limit is not None and not found:
            self.parts.append((Verdict.INCONCLUSIVE, f"longest < {format_duration(limit)}: nothing was asked"))
        elif limit is not None and (over := beyond(found, limit)):
            too_long = findings.no_timeout(scene.name, over, limit, scene.client, self.victims)
            self._find(self._with_control(too_long) if scene.crowded else too_long)
        elif limit is None and scene.client not in self.victims:
            gave_up = [wait for wait in found if wait.outcome == "timed_out" and scene.requests.get(wait.request)]
            if gave_up:
                own = scene.requests[gave_up[0].request] or 0.0
                self._find(
                    findings.no_timeout(scene.name, gave_up, own, scene.client, self.victims, severity=Severity.NOTE)
                )
        return found

    def _with_control(self, finding: Finding) -> Finding:
        """A finding of long waits on a crowded machine: it stands if services that the fault does not concern were quick."""
        scene = self.scene
        concerned = dependents(scene.depends_on, scene.victims or ()) | {scene.client}
        others = [name for name in scene.depends_on if name not in concerned] if scene.victims is not None else []
        looks = [
            look for look in scene.probes
            if look.service in others and scene.phases.during[0] <= look.at < scene.watched_until
        ]  # fmt: skip
        quick = sum(look.healthy and look.latency <= QUICK for look in looks)
        if len(looks) < ENOUGH_LOOKS or quick < MOSTLY * len(looks):
            return self._unless_crowded(finding)
        words = (
            f"it is not the machine, although {scene.crowded.partition(':')[0]}: {quick} of {len(looks)} health checks of "
            f"{', '.join(others)} were answered within {format_duration(QUICK)} meanwhile"
        )
        return replace(finding, evidence=(*finding.evidence, words))

    # ----------------------------------------------------------------------------------------------------------- calls
    def _points(self, series: str) -> list[tuple[float, float]]:
        source, name = split_series(series)
        return [(one.at, one.value) for one in self.scene.samples if one.source == source and one.series == name]

    def _counter(self, source: CallSource) -> Counter:
        return add_up([Counter.of(self._points(series)) for series in source.count])

    def _demand(self, source: CallSource | None) -> Demand:
        return demand_of(self.scene.load, source.per if source is not None else ())

    def calls(self, dependency: str, source: CallSource) -> CallsSeen:
        gauge = Counter.of(self._points(source.at_once)) if source.at_once is not None else None
        return calls_seen(
            dependency, " + ".join(source.count), self._counter(source), self._demand(source), self.scene.phases, gauge
        )

    def storms(self, calls: Sequence[CallsSeen]) -> None:
        expect = self.scene.expect.amplification
        for seen in calls:
            asked = self._asked(seen, expect.of if expect is not None else None, calls)
            limit = expect.most if expect is not None and asked else NOTED_STORM
            times = [
                (found, phase)
                for found, phase in ((seen.during_times, "during"), (seen.after_times, "after"))
                if found is not None and _made(seen, phase) >= FEW
            ]
            if times and max(times)[0] > limit:
                self._find(findings.storm(self.scene.name, seen, max(times)[1], limit, asked=asked))
            elif asked and (seen.during_times is None or seen.after_times is None):
                words = f"calls at {seen.dependency} for each request: {seen.unknown or 'not known'}"
                self.parts.append((Verdict.INCONCLUSIVE, words))

    def _asked(self, seen: CallsSeen, of: Sequence[str] | None, calls: Sequence[CallsSeen]) -> bool:
        """Whether the plan expects something of this dependency: by name, or because a fault disturbs it."""
        if of is None:
            return False
        disturbed = [one.dependency for one in calls if one.dependency in self.victims]
        return seen.dependency in (of or disturbed or [one.dependency for one in calls])

    def herds(self, calls: Sequence[CallsSeen]) -> None:
        expect = self.scene.expect.herd
        for seen in calls:
            asked = self._asked(seen, expect.of if expect is not None else None, calls)
            most, at_once = (expect.most, expect.at_once) if expect is not None and asked else (NOTED_HERD, None)
            over = _herd_words(seen, most, at_once, asked=asked)
            if over:
                self._find(findings.herd(self.scene.name, seen, over, asked=asked))
            elif asked and (doubt := self._herd_doubt(seen, at_once)):
                self.parts.append((Verdict.INCONCLUSIVE, f"calls at {seen.dependency} right after the revert: {doubt}"))

    def _herd_doubt(self, seen: CallsSeen, at_once: float | None) -> str:
        """Why it cannot be said that there was no herd; empty when it can."""
        if seen.herd_times is None and _made(seen, "before") >= FEW:
            return "too few samples"
        source = self.scene.sources[seen.dependency].at_once
        if at_once is None or source is None:
            return ""
        if seen.at_once is None:
            return f"{source} was not sampled"
        if seen.at_once > at_once:
            return f"{source} is a peak of {seen.at_once:g} that was reached before, which hides what came then"
        return ""

    # -------------------------------------------------------------------------------------------------------- breakers
    def breakers(self, served: Sequence[Served]) -> tuple[BreakerSeen, ...]:
        scene, expect = self.scene, self.scene.expect.breaker
        asked = [expect.of] if expect is not None else []
        looked_at = dict.fromkeys([*asked, *(name for name in self.victims if self._shows_breaker(name))])
        found = tuple(self._breaker(name) for name in looked_at)
        for seen in found:
            if expect is not None and seen.dependency == expect.of:
                judged = judge_breaker(
                    seen, scene.phases, opens_within=expect.opens_within, resolution=self._resolution(seen.dependency),
                    closes_within=expect.closes_within or scene.recover_within,
                )  # fmt: skip
                self._breaker_judged(seen, judged, served)
            elif seen.opened_at is None and self._should_have(seen):
                words = f"no circuit breaker before {seen.dependency} opened"
                self._find(findings.no_breaker(scene.name, words, seen, served, missing=True, asked=False))
        return found

    def _breaker_judged(self, seen: BreakerSeen, judged: BreakerJudged, served: Sequence[Served]) -> None:
        if judged.verdict is Verdict.FAILED:
            self._find(
                findings.no_breaker(self.scene.name, judged.words, seen, served, missing=judged.missing, asked=True)
            )
        else:
            self.parts.append((judged.verdict, judged.words))

    def _shows_breaker(self, name: str) -> bool:
        return name in self.scene.sources or name in self.scene.stage.breakers

    def _should_have(self, seen: BreakerSeen) -> bool:
        """Whether calls went on and on at something that was dead."""
        start, end = self.scene.phases.during
        dead = any(kind in _DEAD for kind in self.scene.faults)
        return dead and end - start >= LONG_FAULT and (seen.late_share or 0.0) >= GOES_ON

    def _breaker(self, name: str) -> BreakerSeen:
        source, metrics = self.scene.sources.get(name), self.scene.stage.breakers.get(name)
        told = None
        if metrics is not None and metrics.state is not None:
            told = told_by_state(self._points(metrics.state), metrics.names)
        elif metrics is not None and metrics.opened is not None:
            told = told_by_counter(self._points(metrics.opened))
        counter = self._counter(source) if source is not None else None
        return breaker_seen(name, self.scene.phases, counter=counter, demand=self._demand(source), told=told)

    def _resolution(self, name: str) -> float:
        source, metrics = self.scene.sources.get(name), self.scene.stage.breakers.get(name)
        series = [one for one in ((metrics.state, metrics.opened) if metrics is not None else ()) if one is not None]
        series += source.count if source is not None else []
        return max((Counter.of(self._points(one)).resolution for one in series), default=1.0)


def _made(seen: CallsSeen, phase: str) -> float:
    return next((one.calls for one in seen.phases if one.phase == phase and one.calls is not None), 0.0)


def _herd_words(seen: CallsSeen, most: float, at_once: float | None, *, asked: bool) -> str:
    """What is to be said of a herd; empty when there was none."""
    if at_once is not None and seen.at_once is not None and seen.at_once > at_once and not seen.at_once_earlier:
        return f"{seen.at_once:.0f} calls at once came to {seen.dependency} right after the revert, {at_once:g} allowed"
    if seen.herd_times is not None and seen.herd_times > most:
        allowed = f", {most:g} times allowed" if asked else ""
        return f"{seen.dependency} got {format_number(seen.herd_times, 3)} times its usual calls right after the revert{allowed}"
    return ""

"""A threshold's expression over its evidence: every comparison, in every window, for every request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shakedown.analysis.evidence import (
    Evidence,
    Seconds,
    Span,
    WindowStats,
    overlap,
    window_stats,
)
from shakedown.analysis.judged import LISTED, Judged, all_of, any_of, best, compare, decisive, join, shown, worst
from shakedown.analysis.measures import Measured, of_counts, of_lags, of_ledger, of_samples, of_stats, of_suite
from shakedown.analysis.windows import Window, cut_windows, runs, single_seconds, whole_windows
from shakedown.plan.thresholds import (
    LEDGER,
    AllOf,
    AnyOf,
    Comparison,
    EachRequest,
    Expression,
    Windowed,
    comparisons_of,
)
from shakedown.records.histogram import Histogram
from shakedown.records.load import LoadResult
from shakedown.units import format_number
from shakedown.verdict import Verdict

__all__ = ["Evaluation", "Live"]


@dataclass(frozen=True, slots=True)
class Live:
    """What is known of loads that are still under way.

    Attributes:
        totals: by load, all that was measured so far, folded into one second: cheap to look at whole, again and again.
        hope: what was measured, with everything in flight added as if it turned out well for the comparison.
        latest: seconds from here on are not complete yet.
    """

    totals: Mapping[str, LoadResult]
    hope: Callable[[Comparison, WindowStats, frozenset[str] | None, Window | None], WindowStats] | None
    latest: float


class Evaluation:
    """Evaluates expressions over one evidence.

    Args:
        live: given while the loads are still under way; see `abort`.
    """

    def __init__(self, evidence: Evidence, live: Live | None = None) -> None:
        self._evidence = evidence
        self._live = live
        self._seconds: dict[tuple[str, frozenset[str] | None], Seconds] = {}
        self._values: dict[tuple[str, str], dict[int, list[tuple[float, float]]]] = {}

    def of(self, expression: Expression, request: str | None = None, window: Window | None = None) -> Judged:
        """The verdict of an expression.

        Args:
            request: where each request is judged by itself, the one whose turn it is.
            window: only these seconds.
        """
        if isinstance(expression, Comparison):
            return self._comparison(expression, request, window)
        if isinstance(expression, AllOf):
            parts = [self.of(part, request, window) for part in expression.parts]
            return decisive(parts, all_of(parts))
        if isinstance(expression, AnyOf):
            parts = [self.of(part, request, window) for part in expression.parts]
            return decisive(parts, any_of(parts))
        if isinstance(expression, EachRequest):
            return self._each_request(expression, window)
        if expression.kind == "for":
            return self._for(expression, request)
        return self._windows(expression, request)

    # ------------------------------------------------------------------------------------------------------- comparisons
    def _comparison(self, comparison: Comparison, request: str | None, window: Window | None) -> Judged:
        evidence = self._evidence
        if comparison.subject in evidence.loads:
            comparison = comparison.of_load()
        measured = self.measure(comparison, request, window)
        limit, relation = comparison.limit, ""
        if comparison.factor is not None:
            base, relation = self._baseline(comparison, request)
            if base is None:
                return Judged(
                    Verdict.INCONCLUSIVE, comparison, measured.value, limit, measured.samples, relation, request
                )
            limit = comparison.factor * base + comparison.limit
            relation = f"limit {shown(limit, comparison.unit)} = {relation}"
        verdict, doubt = compare(comparison.op, measured, limit)
        why = ", ".join(part for part in (doubt, relation) if part)
        return Judged(verdict, comparison, measured.value, limit, measured.samples, why, request)

    def _baseline(self, comparison: Comparison, request: str | None) -> tuple[float | None, str]:
        """What the baseline measured, and how the limit comes of it; without a value, why there is none."""
        baseline = self._evidence.baseline
        if baseline is None:
            return None, "there is no baseline to compare with"
        measured = Evaluation(baseline).measure(comparison, request, None)
        doubt = measured.doubt or measured.weak
        if measured.value is None or doubt:
            return None, f"the baseline did not measure it: {doubt or 'nothing was measured'}"
        factor = "" if comparison.factor == 1 else f"{comparison.factor:g} × "
        offset = ""
        if comparison.limit:
            offset = f" {'+' if comparison.limit > 0 else '-'} {shown(abs(comparison.limit), comparison.unit)}"
        return measured.value, f"{factor}{shown(measured.value, comparison.unit)} of the baseline{offset}"

    def measure(self, comparison: Comparison, request: str | None, window: Window | None) -> Measured:
        """The value on a comparison's left side."""
        evidence = self._evidence
        if comparison.subject in evidence.loads:
            return self._of_load(comparison, evidence.loads[comparison.subject], request, window)
        if comparison.subject in evidence.suites:
            return of_suite(comparison.metric, evidence.suites[comparison.subject])
        if comparison.subject == LEDGER and comparison.request is not None:
            return of_ledger(comparison.metric, evidence.ledgers.get(comparison.request))
        return of_samples(comparison, self._sampled(comparison, window))

    def _sampled(self, comparison: Comparison, window: Window | None) -> list[tuple[float, float]]:
        """Instants and values."""
        key = (comparison.subject, comparison.metric)
        if key not in self._values:
            values: dict[int, list[tuple[float, float]]] = {}
            for sample in self._evidence.samples:
                if (sample.source, sample.series) == key and self._evidence.contains(sample.at):
                    values.setdefault(int(sample.at // 1), []).append((sample.at, sample.value))
            self._values[key] = values
        found = self._values[key]
        if window is None:
            return [value for values in found.values() for value in values]
        return [value for second in range(window.first, window.last) for value in found.get(second, ())]

    def _of_load(
        self, comparison: Comparison, load: LoadResult, request: str | None, window: Window | None
    ) -> Measured:
        evidence = self._evidence
        problems = load.counts.problems() if self._live is None else []
        if problems:
            return Measured(None, 0, doubt=f"the load's own counts disagree: {problems[0]}")
        names = self._requests(comparison, request)
        if names is not None and not names:
            return Measured(None, 0, doubt="no request of the load is meant")
        if comparison.metric in ("dropped", "dropped_rate"):
            whole = window is None and evidence.start is None and evidence.end is None
            measured = of_counts(comparison.metric, load.counts, whole=whole)
        elif comparison.metric == "start_lag":
            measured = of_lags(comparison.aggregate, self._lags(load, window))
        else:
            measured = self._of_buckets(comparison, load, names, window)
        if load.generator.starved:
            return replace(measured, doubt=load.generator.starved)
        if not measured.doubt and load.interrupted:
            return replace(measured, weak="the load was interrupted")
        # What was dropped is what such a threshold asks for: it is weak only where more than that is missing.
        told = comparison.metric in ("dropped", "dropped_rate") and load.counts.all_told
        if not measured.doubt and not load.rate_held and not told:
            return replace(measured, weak=f"rate not held: {self._arrivals(load)}")
        return measured

    def _of_buckets(
        self, comparison: Comparison, load: LoadResult, names: frozenset[str] | None, window: Window | None
    ) -> Measured:
        evidence, label = self._evidence, comparison.subject
        if window is None and self._live is not None:
            stats = window_stats(self._live.totals[label], requests=names)
        elif window is None:
            stats = window_stats(
                load, requests=names, start=evidence.start, end=evidence.end, spans=evidence.spans.get(label, ())
            )
        else:
            length = overlap(evidence.spans_of(label), window.first, window.last)
            stats = self._by_second(label, names).between(window.first, window.last, length)
        measured = of_stats(comparison.metric, stats)
        if measured.doubt:
            return measured
        if self._live is not None:
            if self._live.hope is None:
                return measured
            hoped = self._live.hope(comparison, stats, names, window)
            return replace(of_stats(comparison.metric, hoped), samples=measured.samples)
        if not stats.ended and (window is None or not self._by_second(label, names)):
            return replace(measured, weak="no request ended")
        return measured

    def _lags(self, load: LoadResult, window: Window | None) -> list[Histogram]:
        if window is None and self._live is not None:
            return list(self._live.totals[load.load].start_lag.values())
        if window is None:
            return [
                lag
                for second, lag in load.start_lag.items()
                if second >= load.judged_from // 1 and self._evidence.contains(second)
            ]
        return [load.start_lag[at] for at in range(window.first, window.last) if at in load.start_lag]

    def _by_second(self, label: str, names: frozenset[str] | None) -> Seconds:
        key = (label, names)
        if key not in self._seconds:
            self._seconds[key] = Seconds(self._evidence.loads[label], names)
        return self._seconds[key]

    def _requests(self, comparison: Comparison, request: str | None) -> frozenset[str] | None:
        """The requests that a comparison means; None for all."""
        named = request if request is not None else comparison.request
        if not comparison.tags:
            return None if named is None else frozenset((named,))
        known = self._evidence.tags.get(comparison.subject, {})
        wanted = dict(comparison.tags).items()
        return frozenset(name for name, tags in known.items() if wanted <= dict(tags).items() and named in (None, name))

    def _arrivals(self, load: LoadResult) -> str:
        spans = (
            self._evidence.spans_of(load.load) if load.load in self._evidence.loads else ((load.judged_from, load.end),)
        )
        seconds = max(overlap(spans, load.judged_from, load.end), 1e-9)
        return f"{format_number(load.target_rate or 0.0)}/s asked, {format_number(load.counts.on_time / seconds, 3)}/s started in time"

    # ---------------------------------------------------------------------------------------------------- each by itself
    def _each_request(self, expression: EachRequest, window: Window | None) -> Judged:
        comparison = next(comparisons_of(expression)).of_load()
        label = comparison.subject
        if label not in self._evidence.loads:
            return Judged(Verdict.INCONCLUSIVE, comparison, None, comparison.limit, 0, f"`{label}` was not measured")
        names = [
            name
            for name in self._known(label)
            if all(self._requests(item, name) for item in comparisons_of(expression))
        ]
        if not names:
            return Judged(Verdict.INCONCLUSIVE, comparison, None, comparison.limit, 0, "no request was measured")
        judged = [replace(self.of(expression.inner, name, window), request=name) for name in names]
        verdict = all_of(judged)
        alike = [item for item in judged if item.verdict is verdict]
        chosen = worst(alike)
        others = [f"`{item.request}`" for item in alike if item is not chosen]
        why = f"request `{chosen.request}`"
        if verdict is Verdict.PASSED:
            why = f"the worst of {len(judged)} requests is `{chosen.request}`"
        elif others:
            listing = ", ".join(others[:LISTED]) + (", …" if len(others) > LISTED else "")
            why += f" (and {listing})"
        return replace(chosen, verdict=verdict, why=f"{why}: {chosen.why}" if chosen.why else why)

    def _known(self, label: str) -> list[str]:
        """The requests of a load."""
        if self._live is not None and label not in self._evidence.tags:
            return sorted({key.request for key in self._live.totals[label].buckets})
        return self._evidence.requests_of(label)

    # ----------------------------------------------------------------------------------------------------------- windows
    def _spans(self, expression: Windowed) -> Sequence[Span]:
        """The times over which windows slide."""
        evidence = self._evidence
        comparison = next(comparisons_of(expression))
        if comparison.subject in evidence.loads:
            spans = evidence.spans_of(comparison.subject)
        else:
            self._sampled(comparison, None)
            seconds = self._values[comparison.subject, comparison.metric]
            spans = ((min(seconds), max(seconds) + 1),) if seconds else ()
        low = float("-inf") if evidence.start is None else evidence.start
        high = float("inf") if evidence.end is None else evidence.end
        if self._live is not None:
            high = min(high, self._live.latest)
        cut = [(max(start, low), min(end, high)) for start, end in spans]
        return [(start, end) for start, end in cut if start < end]

    def _too_short(self, expression: Windowed, spans: Sequence[Span], request: str | None) -> Judged:
        whole = self.of(expression.inner, request)
        longest = max((end - start for start, end in spans), default=0.0)
        why = f"{shown(longest, 's')} were measured, too short for {expression.seconds} s"
        return replace(whole, verdict=Verdict.INCONCLUSIVE, why=why)

    def _windows(self, expression: Windowed, request: str | None) -> Judged:
        spans = self._spans(expression)
        whole = whole_windows(spans, expression.seconds, ended=self._live is None)
        found = {window: self.of(expression.inner, request, window) for window in whole}
        if expression.kind == "within":
            for window in cut_windows(spans, expression.seconds):
                judged = self.of(expression.inner, request, window)
                # Too little for a judgement, yet all of it lies in a window that has been judged: no doubt is left.
                covered = judged.verdict is Verdict.INCONCLUSIVE and any(
                    window.within(other) and known.verdict is Verdict.PASSED for other, known in found.items()
                )
                if not covered:
                    found[window] = judged
        if not found:
            return self._too_short(expression, spans, request)
        verdict = all_of(list(found.values()))
        alike = {window: judged for window, judged in found.items() if judged.verdict is verdict}
        first = min(alike)
        chosen = worst(list(alike.values()))
        if verdict is Verdict.PASSED:
            return replace(chosen, why=join(f"worst of {len(found)} windows", chosen.why))
        if verdict is Verdict.INCONCLUSIVE:
            why = f"{len(alike)} of {len(found)} windows of {expression.seconds} s could not be judged"
            return replace(chosen, why=join(why, alike[first].why))
        why = (
            f"first broke from {first.first} s to {first.last} s ({self._since(expression, spans, first.first)} into the load), "
            f"in {len(alike)} of {len(found)} windows of {expression.seconds} s"
        )
        return replace(chosen, why=join(why, chosen.why))

    def _since(self, expression: Windowed, spans: Sequence[Span], second: int) -> str:
        """How far into the load a second lies."""
        load = self._evidence.loads.get(next(comparisons_of(expression)).subject)
        start = spans[0][0] if load is None else load.start
        return shown(max(second - start, 0.0), "s")

    def _for(self, expression: Windowed, request: str | None) -> Judged:
        """Every second of a stretch must break it: each stretch is as good as its best second, the whole as its worst."""
        spans, length = self._spans(expression), expression.seconds
        stretches = [
            [(second, self.of(expression.inner, request, Window(second, second + 1))) for second in seconds]
            for seconds in single_seconds(spans)
            if len(seconds) >= length
        ]
        if not stretches:
            return self._too_short(expression, spans, request)
        found = [
            (seconds[at][0], best([judged for _, judged in seconds[at : at + length]]))
            for seconds in stretches
            for at in range(len(seconds) - length + 1)
        ]
        verdict = all_of([judged for _, judged in found])
        alike = [(second, judged) for second, judged in found if judged.verdict is verdict]
        chosen = worst([judged for _, judged in alike])
        longest = max(
            (to - begin for seconds in stretches
             for begin, to in runs([judged.verdict is Verdict.FAILED for _, judged in seconds])),
            default=0,
        )  # fmt: skip
        if verdict is Verdict.PASSED:
            said = f"never broken for more than {longest} s in a row" if longest else "not broken in any second"
            return replace(chosen, why=join(said, chosen.why))
        if verdict is Verdict.INCONCLUSIVE:
            missing = sum(judged.verdict is Verdict.INCONCLUSIVE for seconds in stretches for _, judged in seconds)
            why = f"{missing} of {sum(map(len, stretches))} seconds could not be judged"
            return replace(chosen, why=join(why, chosen.why))
        first = alike[0][0]
        why = f"broken from {first} s on ({self._since(expression, spans, first)} into the load), for {longest} s in a row at most"
        return replace(chosen, why=join(why, chosen.why))

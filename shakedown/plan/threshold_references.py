"""What thresholds name: loads, requests, tags, suites, services, series, the baseline; checked before anything starts."""

import re
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence

from shakedown.errors import PlanProblem
from shakedown.plan.document import Document, Path
from shakedown.plan.ledgers import LEDGER_METRICS
from shakedown.plan.model import Plan, UseScenario, UseSuite
from shakedown.plan.profiles import nearest
from shakedown.plan.services import ExternalService
from shakedown.plan.thresholds import (
    AGGREGATES,
    COUNTERS,
    LEDGER,
    LOAD_METRICS,
    PERCENTILE,
    SERIES_UNITS,
    SUITE_METRICS,
    WHOLE_LOAD,
    Comparison,
    EachRequest,
    Expression,
    Threshold,
    Windowed,
    comparisons_of,
    nodes_of,
    parse_threshold,
)
from shakedown.plan.uses import label_of, request_tags

__all__ = ["ThresholdReferences"]

OURSELVES, OBSERVER = "shakedown", ("observer_cpu", "observer_memory")  # what watching costs, cores and bytes
COUNTED_IN_ALL = ("dropped", "dropped_rate", "count", "bytes", "received")  # over a whole load, and in no moment of it


class ThresholdReferences:
    """Checks thresholds and series against a plan."""

    def __init__(self, plan: Plan, document: Document) -> None:
        self._plan = plan
        self._document = document

    def _problem(self, path: Path, message: str, hint: str | None = None) -> PlanProblem:
        return self._document.problem(path, message, hint)

    def _unknown(self, path: Path, kind: str, name: str, choices: Iterable[str]) -> PlanProblem:
        known = list(choices)
        listing = f"the plan has {', '.join(known)}" if known else f"the plan has no {kind}"
        return self._problem(path, f"no such {kind}: `{name}`; {listing}", nearest(name, known))

    def series(self, path: Path, text: str) -> Iterator[PlanProblem]:
        """Whether `service.series` is sampled."""
        source, dot, series = text.partition(".")
        known = self._known_series(source)
        if known is None or not dot:
            yield self._unknown(path, "service", source, self._plan.services)
        elif series not in known:
            yield self._problem(
                path, f"no such series: `{text}`; {source} has {', '.join(known)}", nearest(series, known)
            )

    def _known_series(self, source: str) -> list[str] | None:
        """The series that are sampled of a source; None when it is no source."""
        if source == "host":
            return ["cpu", "memory", "network_rx", "network_tx", "block_read", "block_write", "context_switches"]
        service = self._plan.services.get(source)
        if service is None:
            return list(OBSERVER) if source == OURSELVES else None
        declared = service.metrics.series if service.metrics else []
        measured = [] if isinstance(service, ExternalService) else list(SERIES_UNITS)
        return [*measured, *declared, *service.probes]

    def thresholds(
        self, path: Path, texts: Sequence[str], uses: Sequence[UseScenario | UseSuite]
    ) -> Iterator[PlanProblem]:
        """Every problem of a list of thresholds.

        Args:
            path: of the list.
            uses: what the stage runs, and thresholds may speak of.
        """
        by_label = {label_of(use): use for use in uses}
        for index, text in enumerate(texts):
            here = (*path, index)
            threshold = yield from self._known(here, text, by_label)
            if threshold is not None:
                yield from self._expression(here, threshold.expression, by_label)
                yield from self._relative(here, threshold.comparisons, by_label)
                yield from self._abort(here, threshold, by_label)

    def steady_state(self, path: Path, texts: Sequence[str], uses: Sequence[UseScenario]) -> Iterator[PlanProblem]:
        """Every problem of what steady state needs: thresholds without windows, judged while the load runs.

        `baseline` in them is the time before the faults, so that no baseline stage is needed.
        """
        by_label: dict[str, UseScenario | UseSuite] = {label_of(use): use for use in uses}
        for index, text in enumerate(texts):
            here = (*path, index)
            threshold = yield from self._known(here, text, by_label, not_here=COUNTED_IN_ALL)
            if threshold is None:
                continue
            yield from self._expression(here, threshold.expression, by_label)
            if threshold.abort is not None or any(
                isinstance(node, Windowed) for node in nodes_of(threshold.expression)
            ):
                yield self._problem(
                    here,
                    "steady state is judged in windows of its own, `hold_window` long: no over, within, for, abort",
                )

    def _known(
        self, here: Path, text: str, by_label: Mapping[str, UseScenario | UseSuite], *, not_here: Collection[str] = ()
    ) -> Generator[PlanProblem, None, Threshold | None]:
        """A threshold whose parts are all known; None after the problems of one that is not: the rest cannot be said then.

        Args:
            not_here: metrics that are counted over a whole load, where thresholds are judged while it runs.
        """
        try:
            threshold = parse_threshold(text)
        except ValueError as error:
            yield self._problem(here, str(error))
            return None
        known = True
        for comparison in threshold.comparisons:
            for problem in self._comparison(here, comparison, by_label):
                known = False
                yield problem
            if comparison.metric in not_here:
                yield self._problem(here, f"`{comparison.metric}` is counted over a whole load, not in a moment")
        return threshold if known else None

    def _comparison(
        self, path: Path, comparison: Comparison, by_label: Mapping[str, UseScenario | UseSuite]
    ) -> Iterator[PlanProblem]:
        """Whether the subject is measured here, and has the metric, the request and the tags."""
        subject, text = comparison.subject, comparison.text
        use = by_label.get(subject)
        if use is None and subject == LEDGER and LEDGER not in self._plan.services:
            yield from self._ledger(path, comparison)
            return
        if use is None:
            known = self._known_series(subject)
            if known is None:
                choices = [*by_label, *self._plan.services, "host"]
                yield self._problem(
                    path,
                    f"`{subject}` is not measured in this stage; measured are {', '.join(choices)}",
                    nearest(subject, choices),
                )
            elif comparison.metric not in known or comparison.request is not None:
                yield self._problem(
                    path,
                    f"no such series: `{_without_operator(text)}`; it has {', '.join(known) or 'none'}",
                    nearest(comparison.metric, known),
                )
            elif comparison.tags:
                yield self._problem(path, f"tags choose requests of a load; `{subject}` is a service")
            return
        if isinstance(use, UseScenario):
            comparison = comparison.of_load()
        table = SUITE_METRICS if isinstance(use, UseSuite) else LOAD_METRICS
        percentile = isinstance(use, UseScenario) and PERCENTILE.fullmatch(comparison.metric) is not None
        if comparison.metric not in table and not percentile:
            choices = [*(("p50", "p95", "p99") if table is LOAD_METRICS else ()), *table]
            yield self._problem(
                path,
                f"no such metric: `{comparison.metric}`; `{subject}` has {', '.join(choices)}",
                nearest(comparison.metric, choices),
            )
        elif comparison.aggregate and comparison.metric != "start_lag":
            yield self._problem(
                path, f"`.{comparison.aggregate}` fits sampled series alone ({', '.join(AGGREGATES)}), and start_lag"
            )
        elif comparison.metric == "start_lag" and comparison.aggregate and "start_lag" in self._requests(use):
            yield self._problem(
                path, f"`{text}` is of the load's start lag, and a request has this name as well", "rename it"
            )
        elif comparison.request is not None or comparison.tags:
            yield from self._selection(path, use, comparison)

    def _ledger(self, path: Path, comparison: Comparison) -> Iterator[PlanProblem]:
        """Whether `ledger.NAME.metric` is read back in this stage, and is a figure of it."""
        stage = self._plan.stages.recovery
        read = stage.ledgers if stage is not None and path[:2] == ("stages", "recovery") else []
        if comparison.request is None:
            yield self._problem(path, f"`{comparison.text}` names no ledger", "write ledger.NAME.lost == 0")
        elif comparison.request not in read:
            hint = nearest(comparison.request, read) if read else "ledgers are read back in the recovery stage"
            listing = ", ".join(read) or "none"
            yield self._problem(path, f"`{comparison.request}` is no ledger of this stage; it reads {listing}", hint)
        elif comparison.metric not in LEDGER_METRICS:
            message = f"no such metric: `{comparison.metric}`; a ledger has {', '.join(LEDGER_METRICS)}"
            yield self._problem(path, message, nearest(comparison.metric, list(LEDGER_METRICS)))
        elif comparison.tags or comparison.aggregate or comparison.factor is not None:
            yield self._problem(path, "of a ledger, a number is compared with a number")

    def _selection(self, path: Path, use: UseScenario | UseSuite, comparison: Comparison) -> Iterator[PlanProblem]:
        """Whether a comparison's request and tags are those of the load."""
        requests = self._requests(use)
        name, metric = comparison.request, comparison.metric
        if isinstance(use, UseSuite) and comparison.tags:
            yield self._problem(path, f"tags choose requests of a load; `{comparison.subject}` is a suite")
            return
        if name is not None and name not in requests:
            yield self._unknown(path, "request", name, requests)
            return
        if metric in WHOLE_LOAD:
            yield self._problem(path, f"`{metric}` is counted for a whole load, not for one request")
            return
        known: dict[str, set[str]] = {}
        for tags in requests.values():
            for tag, value in tags.items():
                known.setdefault(tag, set()).add(value)
        for tag, value in comparison.tags:
            if tag not in known:
                listing = f"they have {', '.join(sorted(known))}" if known else "they have none"
                message = f"no such tag: `{tag}` is on no request of `{comparison.subject}`; {listing}"
                yield self._problem(path, message, nearest(tag, sorted(known)))
                return
            if value not in known[tag]:
                values = sorted(known[tag])
                message = f"no request of `{comparison.subject}` has {tag}:{value}; there is {', '.join(values)}"
                yield self._problem(path, message, nearest(value, values))
                return
        wanted = dict(comparison.tags).items()
        if not any(wanted <= tags.items() for other, tags in requests.items() if name in (None, other)):
            whose = f"request `{name}`" if name is not None else f"no request of `{comparison.subject}`"
            written = ", ".join(f"{tag}:{value}" for tag, value in comparison.tags)
            verb = "does not have" if name is not None else "has all of"
            yield self._problem(path, f"{whose} {verb} {{{written}}}")

    def _requests(self, use: UseScenario | UseSuite) -> dict[str, dict[str, str]]:
        """The requests of a use, with their tags."""
        scenario = self._plan.scenarios.get(use.use) if isinstance(use, UseScenario) else None
        return request_tags(scenario) if scenario is not None else {}

    def _expression(
        self, path: Path, expression: Expression, by_label: Mapping[str, UseScenario | UseSuite]
    ) -> Iterator[PlanProblem]:
        """Whether what is judged in windows, or request by request, can be."""
        for node in nodes_of(expression):
            if not isinstance(node, Windowed | EachRequest):
                continue
            for comparison in comparisons_of(node):
                use = by_label.get(comparison.subject)
                if use is None and comparison.subject == LEDGER:
                    yield self._problem(path, "a ledger is judged whole, not in windows or by request")
                elif isinstance(node, EachRequest):
                    if not isinstance(use, UseScenario):
                        yield self._problem(
                            path, f"`{comparison.subject}` is no load: it has no requests to judge each"
                        )
                    elif comparison.metric in WHOLE_LOAD:
                        message = f"`{comparison.metric}` is counted for a whole load, not for each request"
                        yield self._problem(path, message)
                elif isinstance(use, UseSuite):
                    yield self._problem(path, f"`{comparison.subject}` is a suite: it is judged whole, not in windows")
                elif use is not None and comparison.metric in ("dropped", "dropped_rate"):
                    yield self._problem(
                        path,
                        f"`{comparison.metric}` is counted for a whole load, not by the second",
                        "judge `rate` or `start_lag` in windows",
                    )

    def _relative(
        self, path: Path, comparisons: Sequence[Comparison], by_label: Mapping[str, UseScenario | UseSuite]
    ) -> Iterator[PlanProblem]:
        """Whether the baseline measures what a limit is relative to."""
        baseline = self._plan.stages.baseline
        for comparison in comparisons:
            if comparison.factor is None:
                continue
            if path[:2] == ("stages", "baseline"):
                yield self._problem(path, "the baseline cannot be compared with itself", "give a limit of its own")
                continue
            if baseline is None or not (baseline.scenarios or baseline.suites):
                yield self._problem(
                    path, "there is no baseline stage to compare with", "give the plan `stages.baseline`"
                )
                continue
            use = by_label.get(comparison.subject)
            if use is None:
                continue  # a series: whatever the baseline runs, services are sampled beside it
            ran: list[UseScenario | UseSuite] = [*baseline.scenarios, *baseline.suites]
            measured = {label_of(one): one for one in ran}
            same = measured.get(comparison.subject)
            if same is None or type(same) is not type(use):
                yield self._problem(
                    path,
                    f"`{comparison.subject}` is not measured in the baseline; it has {', '.join(measured)}",
                    nearest(comparison.subject, list(measured)),
                )
            elif isinstance(use, UseScenario):
                comparison = comparison.of_load()  # noqa: PLW2901 - the same one, read for a load
                yield from self._selection(path, same, comparison) if comparison.request or comparison.tags else ()

    def _abort(
        self, path: Path, threshold: Threshold, by_label: Mapping[str, UseScenario | UseSuite]
    ) -> Iterator[PlanProblem]:
        """Whether a threshold can end its load while that runs."""
        if threshold.abort is None:
            return
        if "expect" in path:
            yield self._problem(
                path,
                "`abort` ends a load; what an experiment expects is judged in its window alone",
                "write it under `stages.faults.thresholds`",
            )
        for comparison in threshold.comparisons:
            use = by_label.get(comparison.subject)
            if not isinstance(use, UseScenario):
                yield self._problem(path, f"`abort` ends a load, and `{comparison.subject}` is none")
            elif use.shards is not None:
                yield self._problem(path, "`abort` does not reach shards, which are silent until their end")
            elif use.in_levels:
                yield self._problem(
                    path, "`abort` ends no load in steps or in search of a capacity: each level is judged at its end"
                )
            elif comparison.op == "==" and comparison.metric not in COUNTERS:
                message = f"`{comparison.text}` can be judged at the end alone: `abort` fits <, <=, > and >="
                yield self._problem(path, message, "leave `abort` out")
            elif comparison.metric in COUNTERS and comparison.op in (">", ">="):
                yield self._problem(
                    path,
                    f"`{comparison.metric}` grows from 0, so that `{comparison.text}` is broken until it holds: `abort` would end every load",
                    f"leave `abort` out, or judge {'`rate`' if comparison.metric == 'count' else '`throughput`'}",
                )


def _without_operator(text: str) -> str:
    """The left side of a threshold."""
    return re.split(r"[<>=]", text, maxsplit=1)[0].strip()

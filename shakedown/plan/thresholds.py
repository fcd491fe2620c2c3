"""The grammar of a threshold: comparisons, joined, over windows, perhaps ending the load.

    threshold   any [abort [after DURATION]]
    any         all {or all}                                      and binds tighter than or
    all         one {and one}
    one         ( any ) {suffix}  |  comparison {suffix}
    suffix      over DURATION | within DURATION | for DURATION | for all requests
    comparison  subject[.request | .*][{tag:value, …}].metric[.aggregate] operator limit
    limit       VALUE  |  [NUMBER *] baseline [+ VALUE | - VALUE]

=========  =============================================================================================  ==========
subject    metrics                                                                                        unit
=========  =============================================================================================  ==========
load       p50 … p99.99, avg, min, max, med                                                               duration
           start_lag (its p99), start_lag.p50 …, start_lag.avg, .min, .max, .med                          duration
           error_rate, check_rate, dropped_rate                                                           share
           rate, throughput (good answers)                                                                per second
           count, dropped                                                                                 number
           bytes (or received), size (of an answer, on average), bytes_per_second                         size
suite      success_rate, error_rate                                                                       share
           tests, failures, skipped, tests_per_second                                                     number
           longest                                                                                        duration
           peak_memory                                                                                    size
service    memory, memory_anon, network_rx, network_tx, block_read, block_write                           size
or `host`  cpu (cores), pids, threads, open_files, restarts, oom_kills, Prometheus series                 number
           each with `.max` (when none is given), `.min`, `.avg`, `.last` or `.growth` (a share)
ledger     ledger.NAME.lost, .duplicated, .corrupted, .phantom, …: of the recovery stage                   number
=========  =============================================================================================  ==========

docs/thresholds.md says what each form means, with an example.
"""

import difflib
import re
from typing import Literal, NoReturn

from shakedown.plan.threshold_tree import (
    AllOf,
    AnyOf,
    Comparison,
    EachRequest,
    Expression,
    Threshold,
    Windowed,
    comparisons_of,
    nodes_of,
)
from shakedown.plan.threshold_values import (
    AGGREGATES,
    COUNTERS,
    LAG_AGGREGATES,
    LEDGER,
    LOAD_METRICS,
    PERCENTILE,
    SERIES_UNITS,
    SUITE_METRICS,
    WHOLE_LOAD,
    is_relative,
    metric_unit,
    number,
    read_limit,
)
from shakedown.units import parse_duration

__all__ = [
    "AGGREGATES",
    "COUNTERS",
    "LEDGER",
    "LOAD_METRICS",
    "PERCENTILE",
    "SERIES_UNITS",
    "SUITE_METRICS",
    "WHOLE_LOAD",
    "AllOf",
    "AnyOf",
    "Comparison",
    "EachRequest",
    "Expression",
    "Threshold",
    "ThresholdError",
    "Windowed",
    "comparisons_of",
    "nodes_of",
    "parse_threshold",
]

_SUFFIXES = ("over", "within", "for")
_KEYWORDS = ("and", "or", *_SUFFIXES, "abort")
_MEANT = {"&&": "and", "&": "and", "||": "or", "|": "or", ",": "and"}
_WORD = re.compile(r"[A-Za-z]+(?![\w-])", re.ASCII)
_SEGMENT = re.compile(rf"\*|{PERCENTILE.pattern}(?![\w(-])|[A-Za-z][\w-]*", re.ASCII)
_TAGS = re.compile(r"\{([^{}]*)\}", re.ASCII)
_TAG = re.compile(r"\s*([A-Za-z][\w-]*)\s*:\s*(?:\"([^\"]+)\"|'([^']+)'|([^\s:\"',]+))\s*", re.ASCII)
_OPERATOR = re.compile(r"<=|>=|==|<|>")
_VALUE = re.compile(rf"[^()]*?(?=\s*(?:[()]|\Z|(?<![\w.])(?:{'|'.join(_KEYWORDS)})(?![\w-])))", re.ASCII)
_DURATION = re.compile(r"\d+(?:\.\d+)?\s*(?:us|µs|ms|s|m|h|d)(?:\s*\d+(?:\.\d+)?\s*(?:us|µs|ms|s|m|h|d))*(?!\w)")
_DEEPEST = 20
_LONGEST = 86_400.0


class ThresholdError(ValueError):
    """A text that is no threshold.

    Attributes:
        column: where in the text, counted from 1.
    """

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} (column {column})")
        self.column = column


def parse_threshold(text: str) -> Threshold:
    """Understand one threshold.

    Raises:
        ThresholdError: it does not follow the grammar, or its value's unit does not fit the metric.
    """
    return _Parser(text).threshold()


class _Parser:
    """Recursive descent over the text; `_at` is where it stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    # ------------------------------------------------------------------------------------------------------- small helpers
    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        raise ThresholdError(f"not a threshold: {self._text!r}: {what}", (self._at if at is None else at) + 1)

    def _blank(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _word(self) -> str:
        """The word that stands here, without taking it; empty when none does."""
        self._blank()
        match = _WORD.match(self._text, self._at)
        return match[0] if match else ""

    def _take(self, word: str) -> bool:
        if self._word() != word:
            return False
        self._at += len(word)
        return True

    def _sign(self, sign: str) -> bool:
        self._blank()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _duration(self, after: str) -> float:
        self._blank()
        match = _DURATION.match(self._text, self._at)
        if match is None:
            self._fail(f"after `{after}` stands a duration such as 10s")
        try:
            seconds = parse_duration(match[0])
        except (ValueError, OverflowError):
            self._fail(f"after `{after}` stands a duration such as 10s, not {match[0]!r}")
        if not seconds <= _LONGEST:
            self._fail(f"the duration after `{after}` is at most 1d, not {match[0]}")
        self._at = match.end()
        return seconds

    # ------------------------------------------------------------------------------------------------------- the grammar
    def threshold(self) -> Threshold:
        expression = self._any()
        abort: float | None = None
        if self._take("abort"):
            abort = self._duration("after") if self._take("after") else 0.0
        self._blank()
        if self._at < len(self._text):
            self._unexpected("the end" if abort is not None else "and, or, over, within, for or abort")
        return Threshold(" ".join(self._text.split()), expression, abort)

    def _unexpected(self, allowed: str) -> NoReturn:
        rest = self._text[self._at :].split(maxsplit=1)[0]
        self._fail(f"unexpected `{rest}`; here may stand {allowed}{_meant(rest)}")

    def _any(self) -> Expression:
        """A chain of `or`; a suffix at the very end of an unbracketed chain is refused, for it reads as if it were of all."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(f"brackets nest at most {_DEEPEST} deep")
        links: list[
            tuple[bool, int]
        ] = []  # of each link: whether it is a bare comparison with a suffix, and where that stands
        parts = [self._all(links)]
        while self._take("or"):
            parts.append(self._all(links))
        self._depth -= 1
        suffixed, at = links[-1]
        if suffixed and len(links) > 1 and not any(before for before, _ in links[:-1]):
            self._fail(
                "this stands behind the last comparison alone; write (… and …) in brackets to mean all of them, "
                "or put the last comparison with it in brackets",
                at,
            )
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self, links: list[tuple[bool, int]]) -> Expression:
        parts = [self._one(links)]
        while self._take("and"):
            parts.append(self._one(links))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self, links: list[tuple[bool, int]]) -> Expression:
        begin = self._at
        bracketed = self._sign("(")
        inner: Expression
        if bracketed:
            inner = self._any()
            if not self._sign(")"):
                if self._word() == "abort":
                    self._fail("`abort` stands at the end of the whole threshold, outside of brackets")
                self._fail("the bracket is not closed")
            each = False
        else:
            inner, each = self._comparison()
        self._blank()
        at = self._at
        window: tuple[Literal["over", "within", "for"], int] | None = None
        while (word := self._word()) in _SUFFIXES:
            here = self._at
            self._at += len(word)
            if word == "for" and self._take("all"):
                if not self._take("requests"):
                    self._fail("after `for all` stands `requests`")
                each = True
                continue
            if window is not None or any(isinstance(node, Windowed) for node in nodes_of(inner)):
                self._fail("a window within a window means nothing; give one", here)
            window = (word, self._window(word))  # type: ignore[assignment]  # one of _SUFFIXES
        links.append((not bracketed and (window is not None or self._at > at), at))
        if window is not None:
            self._one_subject(inner, f"a window (`{window[0]}`)", begin)
            inner = Windowed(inner, *window)
        if each:
            self._one_subject(inner, "`for all requests`", begin)
            if any(isinstance(node, EachRequest) for node in nodes_of(inner)):
                self._fail("each request is judged by itself already: give `.*` or `for all requests`, once", begin)
            named = next((item for item in comparisons_of(inner) if item.request is not None), None)
            if named is not None:
                self._fail(f"`{named.request}` is one request; leave it out to judge all of them", named.column - 1)
            inner = EachRequest(inner)
        return inner

    def _one_subject(self, inner: Expression, what: str, at: int) -> None:
        subjects = list(dict.fromkeys(item.subject for item in comparisons_of(inner)))
        if len(subjects) > 1:
            self._fail(f"{what} is of one subject, not of {' and '.join(subjects)}; give each comparison its own", at)

    def _window(self, word: str) -> int:
        self._blank()
        at = self._at
        seconds = self._duration(word)
        if seconds < 1 or seconds != int(seconds):
            self._fail("a window is one or more whole seconds, because counts are kept by the second", at)
        return int(seconds)

    # ------------------------------------------------------------------------------------------------------- a comparison
    def _comparison(self) -> tuple[Comparison, bool]:
        """A comparison, and whether it is of each request by itself."""
        self._blank()
        begin = self._at
        parts, tags = self._path()
        metric_at = self._at - len(parts[-1])
        self._blank()
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None or self._text[operator.end() : operator.end() + 1] in ("=", "<", ">"):
            self._fail(
                "an operator is expected: <, <=, >, >= or ==; write subject.metric operator value, as in `send.p95 < 500ms`"
            )
        self._at = operator.end()
        self._blank()
        value_at = self._at
        match = _VALUE.match(self._text, value_at)
        value = match[0].rstrip() if match else ""
        if not value:
            self._fail("a value is expected after the operator, as in `send.p95 < 500ms`")
        self._at = value_at + len(value)
        each = "*" in parts
        if each:
            if len(parts) < 3 or parts[1] != "*" or parts.count("*") > 1:
                self._fail("`*` stands for the requests of a load, as in `send.*.p95 < 1s`", begin)
            parts.remove("*")
        subject, request, metric, aggregate = self._roles(parts, value, begin, each=each)
        wanted = "%" if aggregate == "growth" else metric_unit(metric)
        try:
            limit = read_limit(value, wanted, metric, share=aggregate is None)
        except ValueError as error:
            self._read_less(value, value_at, wanted, metric, aggregate)
            at = metric_at if str(error).startswith("no such metric") else value_at
            raise ThresholdError(str(error), at + 1) from None
        text = " ".join(self._text[begin : self._at].split())
        comparison = Comparison(
            text,
            begin + 1,
            subject,
            request,
            tags,
            metric,
            aggregate,
            operator[0],
            limit.value,
            limit.unit,
            limit.factor,
        )
        return comparison, each

    def _path(self) -> tuple[list[str], tuple[tuple[str, str], ...]]:
        parts: list[str] = []
        tags: tuple[tuple[str, str], ...] = ()
        while True:
            segment = _SEGMENT.match(self._text, self._at)
            if segment is None:
                self._fail("a name is expected; write subject.metric operator value, as in `send.p95 < 500ms`")
            parts.append(segment[0])
            self._at = segment.end()
            if self._text.startswith("{", self._at):
                if tags:
                    self._fail("tags stand once; write several as {kind:read,tier:gold}")
                tags = self._tags()
                if not self._text.startswith(".", self._at):
                    self._fail(
                        "tags stand behind the load or its request, before the metric: `send{kind:read}.p95 < 1s`"
                    )
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        if len(parts) < 2:
            self._fail("a metric is expected; write subject.metric operator value, as in `send.p95 < 500ms`")
        return parts, tags

    def _tags(self) -> tuple[tuple[str, str], ...]:
        match = _TAGS.match(self._text, self._at)
        if match is None:
            self._fail("the tags' bracket is not closed; write {kind:read}")
        found: dict[str, str] = {}
        for part in match[1].split(","):
            tag = _TAG.fullmatch(part)
            if tag is None:
                self._fail(f"not a tag: {part.strip()!r}; write {{kind:read}}")
            if tag[1] in found:
                self._fail(f"the tag `{tag[1]}` stands twice")
            found[tag[1]] = tag[2] or tag[3] or tag[4]
        self._at = match.end()
        return tuple(found.items())

    def _roles(
        self, parts: list[str], value: str, begin: int, *, each: bool
    ) -> tuple[str, str | None, str, str | None]:
        """Subject, request, metric and aggregate."""
        aggregate = None
        of_lag = parts[-1] in LAG_AGGREGATES or PERCENTILE.fullmatch(parts[-1]) is not None
        if len(parts) > 2 and parts[-2] == "start_lag" and of_lag:
            aggregate = parts.pop()
        elif len(parts) > 2 and parts[-1] in AGGREGATES and not _of_request(parts, value):
            aggregate = parts.pop()
        if len(parts) > 3 or (each and len(parts) > 2):
            self._fail("too many dots; write subject.metric or scenario.request.metric", begin)
        return parts[0], parts[1] if len(parts) == 3 else None, parts[-1], aggregate

    def _read_less(self, value: str, at: int, wanted: str | None, metric: str, aggregate: str | None) -> None:
        """Where a value cannot be read because something stands behind it, that is what is wrong."""
        for blank in reversed([match.start() for match in re.finditer(r"\s+", value)]):
            try:
                read_limit(value[:blank], wanted, metric, share=aggregate is None)
            except ValueError:
                continue
            if value[blank:].lstrip()[0] in "*+-":  # a calculation gone wrong, not a word behind the value
                return
            self._at = at + blank
            self._blank()
            self._unexpected("and, or, over, within, for or abort")


def _meant(word: str) -> str:
    if word in _KEYWORDS:
        return ""
    close = [_MEANT[word]] if word in _MEANT else difflib.get_close_matches(word.lower(), _KEYWORDS, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _of_request(parts: list[str], value: str) -> bool:
    """Whether the last of `load.request.max` is a metric of that request rather than an aggregate of a series.

    Only latencies are compared with durations, and no sampled series is one.
    """
    if metric_unit(parts[-2]) == "s":
        return True
    if parts[-1] not in LOAD_METRICS or parts[-2] in SERIES_UNITS or number(value) is not None:
        return False
    if is_relative(value):
        value = re.split(r"[+-]", value, maxsplit=1)[-1].strip()
    try:
        parse_duration(value)
    except (ValueError, OverflowError):
        return False
    return True

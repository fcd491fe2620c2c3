"""Error lines of logs, by kind: lines that differ in numbers, ids, addresses and quoted texts alone are one kind."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["AFTER", "DURING", "KNOWN", "LogKind", "LogKinds", "is_error", "kind_of"]

KNOWN, DURING, AFTER = "known", "during", "after"
MOST_KINDS = 1000  # of one service; further ones are counted together
EXAMPLE = 300
OTHER = "(further kinds)"

_LEVEL = re.compile(r"""["']?\b(?:level|severity|lvl|loglevel)["']?\s*[=:]\s*["']?(\w+)""", re.IGNORECASE)
_QUIET = re.compile(r"trace|debug|info|information|notice|log", re.IGNORECASE)
_LOUD = re.compile(r"err|error|fatal|critical|crit|panic|alert|emerg|emergency|severe", re.IGNORECASE)
_WORDS = re.compile(
    r"\b(?:error|errors|fatal|critical|panic|panicked|exception|severe|emerg|failed|failure|segfault|aborted|"
    r"out of memory|oom|unhandled|refused|timed out|corrupt\w*)\b|\b\w*(?:Error|Exception)\b|\bERR\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:0|no|without) (?:error|failure)s?\b|\berrors?[\"']?\s*[=:]\s*(?:0|none|null|nil|false|\"\")", re.IGNORECASE
)
_FRAME = re.compile(
    r"\s*(?:Traceback \(most recent call last\)|File \"|at [\w.$<>]+\(|During handling of|The above exception)"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STAMP = re.compile(r"^\W*\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d| ?UTC)?\W*")
_STEPS = (
    (re.compile(r'"(?:[^"\\]|\\.)*"|(?<!\w)\'(?:[^\'\\]|\\.)*\'(?!\w)|`[^`]*`'), "'…'"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "ID"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"), "ADDRESS"),
    (re.compile(r"\[?(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}\]?(?::\d+)?", re.IGNORECASE), "ADDRESS"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "ID"),
    (re.compile(r"[-+]?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?", re.IGNORECASE), "N"),
    (re.compile(r"\s+"), " "),
)


def is_error(line: str) -> bool:
    """Whether a line tells of something that went wrong: by its level where it has one, by its words otherwise."""
    level = _LEVEL.search(line)
    if level is not None and (_LOUD.fullmatch(level[1]) or _QUIET.fullmatch(level[1])):
        return _LOUD.fullmatch(level[1]) is not None
    if _FRAME.match(line):
        return False
    return _WORDS.search(line) is not None and _DENIED.search(line) is None


def kind_of(line: str) -> str:
    """What lines of the same kind have in common."""
    text = _STAMP.sub("", _ANSI.sub("", line).strip())
    for pattern, word in _STEPS:
        text = pattern.sub(word, text)
    return text.strip()[:EXAMPLE]


@dataclass(slots=True)
class LogKind:
    """One kind of error line in one phase.

    Attributes:
        first_at: seconds since the run began; None when the log has no times.
        also_during: of a kind that is there after recovery, whether it began during the faults.
    """

    count: int
    first_at: float | None
    example: str
    also_during: bool = False


@dataclass(slots=True)
class LogKinds:
    """The kinds of one service's log."""

    found: dict[str, dict[str, LogKind]] = field(default_factory=lambda: {KNOWN: {}, DURING: {}, AFTER: {}})

    def add(self, lines: Iterable[tuple[float | None, str, str]]) -> None:
        """Lines with their times and phases."""
        for at, phase, line in lines:
            if not is_error(line):
                continue
            kinds, kind = self.found[phase], kind_of(line)
            if kind not in kinds and len(kinds) >= MOST_KINDS:
                kind = OTHER
            known = kinds.get(kind)
            if known is None:
                kinds[kind] = LogKind(1, at, _ANSI.sub("", line).strip()[:EXAMPLE])
            else:
                known.count += 1

    def new(self, phase: str) -> list[LogKind]:
        """Kinds that the log did not have before the faults, the most frequent first; during, those that ended with them."""
        old = self.found[KNOWN].keys()
        other = self.found[AFTER].keys() if phase == DURING else set()
        found = []
        for kind, seen in self.found[phase].items():
            if kind in old or kind in other:
                continue
            seen.also_during = phase == AFTER and kind in self.found[DURING]
            found.append(seen)
        return sorted(found, key=lambda kind: -kind.count)

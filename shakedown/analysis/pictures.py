"""Two pictures of the same things, and what is different in the second."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["Picture", "differences", "plain_lines"]

# Of a service: aspect -> lines. An aspect that could not be looked at is missing.
Picture = Mapping[str, Mapping[str, Iterable[str]]]

# What changes by itself, when a container starts again or is given another address.
_PASSING = (
    (re.compile(r"\[\d+:\d+\]"), "[n:n]"),  # packet counters
    (re.compile(r"(127\.0\.0\.11):\d+"), r"\1:port"),  # Docker's own resolver
    (re.compile(r"(-s 127\.0\.0\.11/32 .*--sport) \d+"), r"\1 port"),
    (re.compile(r"\b(eth|veth)[\w@]*"), r"\1"),
    (re.compile(r"\bsrc [\d.a-f:]+"), "src address"),
    (re.compile(r"\brefcnt \d+"), "refcnt n"),
)
_NOTHING = re.compile(r"#|COMMIT$|\*|:\w+ (ACCEPT|-) |:\w+ (ACCEPT|-)$|$")  # of iptables-save: tables without a rule


def plain_lines(text: str) -> list[str]:
    """The lines that say something, without what changes by itself."""
    found = []
    for line in text.splitlines():
        for pattern, word in _PASSING:
            line = pattern.sub(word, line)  # noqa: PLW2901 - the same line, step by step
        if not _NOTHING.match(line.strip()):
            found.append(line.strip())
    return found


def differences(before: Picture, after: Picture) -> list[str]:
    """What is in the second picture and not in the first, and the other way round, one sentence each."""
    found = []
    for subject, aspects in before.items():
        for aspect, lines in aspects.items():
            if aspect not in after.get(subject, {}):
                continue
            old, new = Counter(lines), Counter(after[subject][aspect])
            found += [f"{subject}: {aspect}: now there: {line}" for line in (new - old).elements()]
            found += [f"{subject}: {aspect}: no longer there: {line}" for line in (old - new).elements()]
    return found

"""A plan's runs over time: each figure with its verdicts and changes of level, as `trend` and `history` show them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shakedown.records.figures import Change, Figure, FigureName, Outlook, show_value
from shakedown.results import Results, RunInfo
from shakedown.results.queries import Peer

if TYPE_CHECKING:
    from shakedown.analysis.changepoints import ChangePoint

__all__ = ["History", "Point", "ProfileHistory", "Trend", "collect_history", "level_words", "trend_of"]

_STAGES = ("baseline", "stress", "endurance", "faults")
_FIRST = {str(Change.REGRESSED): 0, str(Change.SUSPECT): 1, str(Change.IMPROVED): 2}  # what changed stands first


@dataclass(frozen=True, slots=True)
class Point:
    """One run in a trend.

    Attributes:
        look: how the run looked when it was the newest; None where its figure may not be compared.
        level: the change of level that begins with this run.
    """

    peer: Peer
    figure: Figure
    look: Outlook | None
    level: "ChangePoint | None"

    @property
    def word(self) -> str:
        """The verdict in a word."""
        return str(self.look.change) if self.look else "not compared"

    @property
    def why(self) -> str:
        """What there is to say about the verdict."""
        return self.figure.doubt or (
            self.look.reason if self.look is not None and self.look.change is not Change.UNCHANGED else ""
        )

    @property
    def tested(self) -> str:
        """The build and the commit, as far as they are known."""
        commit = self.peer.git_commit[:10] + ("+" if self.peer.git_dirty else "")
        return " ".join(filter(None, [self.peer.build, commit]))


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure over comparable runs, in time."""

    name: FigureName
    unit: str
    points: list[Point]

    @property
    def levels(self) -> list[Point]:
        """The runs with which a new level begins."""
        return [point for point in self.points if point.level is not None]


@dataclass(frozen=True, slots=True)
class ProfileHistory:
    """The runs of one profile that are comparable with its newest.

    Attributes:
        others: how many finished runs of it are not: other work, another machine, or older than what is shown.
    """

    profile: str | None
    trends: list[Trend]
    runs: int
    others: int


@dataclass(frozen=True, slots=True)
class History:
    """All runs of a plan, the newest first, and the trends of each profile."""

    plan: str
    runs: list[RunInfo]
    profiles: list[ProfileHistory]
    left_out: bool = False  # there are more runs than these
    counts: Counter[str] = field(default_factory=Counter)  # by verdict, or status where there is none


def collect_history(
    results: Results, plan: str, profile: str | None = None, *, most_runs: int = 1000, most_points: int = 100
) -> History:
    """The history of a plan.

    Args:
        profile: only this one.
        most_runs: how many of the newest are listed.
        most_points: how many of the newest a trend has.
    """
    found = results.runs(most_runs + 1, plan)
    runs = [info for info in found[:most_runs] if profile is None or info.profile == profile]
    newest: dict[str | None, RunInfo] = {}
    for info in runs:
        if info.status == "finished" and info.figured:
            newest.setdefault(info.profile, info)
    return History(
        plan, runs, [_profile(results, info, most_points) for info in newest.values()], len(found) > most_runs,
        Counter(str(info.verdict or info.status) for info in runs),
    )  # fmt: skip


def _profile(results: Results, newest: RunInfo, most: int) -> ProfileHistory:
    peers = results.peers(
        newest.plan, newest.profile, workload=newest.workload, machine=newest.machine, limit=most
    )  # fmt: skip
    names = {name for peer in peers for name in peer.figures}
    trends = [trend_of(name, [peer for peer in peers if name in peer.figures]) for name in names]
    trends.sort(key=_place)
    return ProfileHistory(newest.profile, trends, len(peers), results.count(newest.plan, newest.profile) - len(peers))


def _place(trend: Trend) -> tuple[int, int, FigureName]:
    stage = trend.name.stage
    return (
        _FIRST.get(trend.points[-1].word, len(_FIRST)),
        _STAGES.index(stage) if stage in _STAGES else len(_STAGES),
        trend.name,
    )


def trend_of(name: FigureName, peers: Sequence[Peer]) -> Trend:
    """A figure over runs that have it, in time."""
    from shakedown.analysis.changepoints import find_changes  # noqa: PLC0415 - statistics take a second to load
    from shakedown.analysis.regression import look_back, yardstick  # noqa: PLC0415

    figures = [peer.figures[name] for peer in peers]
    sound = [(place, one.sound) for place, one in enumerate(figures) if one.sound is not None]
    values = [value for _, value in sound]
    looks = {place: look_back({name: values[: end + 1]})[name] for end, (place, _) in enumerate(sound)}
    levels = {sound[change.at][0]: change for change in find_changes(values, yardstick(name.metric))}
    return Trend(
        name,
        figures[-1].unit if figures else "",
        [
            Point(peer, figure, looks.get(place), levels.get(place))
            for place, (peer, figure) in enumerate(zip(peers, figures, strict=True))
        ],
    )


def level_words(change: "ChangePoint", unit: str) -> str:
    """A change of level as a sentence's end: `110 ms → 132 ms (+19.7%), by chance at most 0.5%`."""
    by = "" if change.shift is None else f" ({change.shift:+.1%})"
    return f"{show_value(change.before, unit)} → {show_value(change.after, unit)}{by}, by chance at most {change.chance:.1%}"

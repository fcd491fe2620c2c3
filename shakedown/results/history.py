"""Figures of runs, formed when they are asked for, and which runs are comparable."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from shakedown.analysis.figures import FIGURES_VERSION, figures_of
from shakedown.records.figures import Figure, FigureName, Outlook
from shakedown.results.queries import Peer, Results, RunInfo
from shakedown.results.store import Store
from shakedown.results.workload import workload_digest
from shakedown.verdict import Verdict

__all__ = ["comparable", "differences", "figure_all", "figure_run", "look_at_run"]

MOST_LOOKED_AT = 40  # twenty, and as many again, as some may lack a figure
MEMORY = ("memory", "memory_anon")


def figure_run(store: Store, results: Results, run: str) -> None:
    """Form the figures of a run and keep them.

    Raises:
        StoreError: they cannot be stored.
    """
    info = results.run(run)
    stages = {
        stage.name: (stage.start, stage.end)
        for stage in results.stages(run)
        if stage.start is not None and stage.end is not None and stage.verdict not in (None, Verdict.ERROR)
    }
    figures = figures_of(
        results.loads(run),
        results.suites(run),
        results.samples(run, series=MEMORY),
        stages,
        [info.recovery for info in results.experiments(run) if info.recovery is not None],
        whole=info.status != "interrupted",
    )
    store.put_figures(run, figures, version=FIGURES_VERSION, workload=workload_digest(info.plan_json))


def figure_all(store: Store, results: Results, plan: str | None = None) -> int:
    """Form the figures of every ended run that lacks them (those of earlier versions); how many there were.

    Raises:
        StoreError: they cannot be stored.
    """
    done = 0
    while runs := results.unfigured(FIGURES_VERSION, plan):
        for run in runs:
            figure_run(store, results, run)
        done += len(runs)
    return done


def comparable(results: Results, info: RunInfo, *, since: datetime | None = None) -> tuple[list[Peer], str]:
    """The finished runs before a run that may be compared with it, in time, and why there are no more.

    Comparable is what has the same plan, profile, work and kind of machine.
    """
    if not info.machine:
        return [], "the processor of this machine is not known"
    if not info.workload:
        return [], "what the plan asks for is not known"
    found = results.peers(
        info.plan, info.profile, workload=info.workload, machine=info.machine, since=since, until=info.started,
        limit=MOST_LOOKED_AT,
    )  # fmt: skip
    found = [peer for peer in found if peer.id != info.id and peer.verdict is not Verdict.ERROR]
    others = results.count(info.plan, info.profile) - len(found)
    return found, f"{others} other runs of this plan ask for other work, or ran elsewhere" if others > 1 else ""


def look_at_run(
    figures: Sequence[Figure], peers: Sequence[Peer], patterns: Sequence[str], effect: float | None = None
) -> tuple[dict[FigureName, tuple[str, Outlook]], list[Figure]]:
    """A run's figures beside those of the runs before it: each with its unit, and those that may not be compared.

    Args:
        peers: comparable runs, in time.
        patterns: which figures: `stage.subject.metric`, `*` stands for anything.
    """
    wanted = [figure for figure in figures if _matches(figure.name, patterns)]
    histories: dict[FigureName, list[float]] = {}
    for figure in wanted:
        if figure.sound is not None:
            before = [peer.figures[figure.name].sound for peer in peers if figure.name in peer.figures]
            histories[figure.name] = [*(value for value in before if value is not None), figure.sound]
    from shakedown.analysis.regression import look_back  # noqa: PLC0415 - statistics take a second to load

    units = {figure.name: figure.unit for figure in wanted}
    found = {name: (units[name], look) for name, look in look_back(histories, effect=effect).items()}
    return found, [figure for figure in wanted if figure.sound is None]


def _matches(name: FigureName, patterns: Sequence[str]) -> bool:
    for pattern in patterns:
        stage, _, rest = pattern.partition(".")
        subject, _, metric = rest.rpartition(".")
        if fnmatchcase(name.stage, stage) and fnmatchcase(name.subject, subject) and fnmatchcase(name.metric, metric):
            return True
    return False


def differences(a: RunInfo, b: RunInfo, images: tuple[Mapping[str, str], Mapping[str, str]]) -> list[str]:
    """What differs between two runs besides what was measured, as sentences: what may explain a change."""
    found = []
    for what, before, after in (
        ("commit", _commit(a), _commit(b)),
        ("build", a.build, b.build),
        ("Shakedown", a.version, b.version),
        ("kernel", a.kernel, b.kernel),
        ("container engine", a.container_engine, b.container_engine),
        ("Python", a.environment.get("python", ""), b.environment.get("python", "")),
        ("host", a.environment.get("host", ""), b.environment.get("host", "")),
        *((f"image of {name}", images[0].get(name, "")[7:19], images[1].get(name, "")[7:19])
          for name in sorted(images[0].keys() | images[1].keys())),
    ):  # fmt: skip
        if before != after:
            found.append(f"{what}: {before or 'not known'} → {after or 'not known'}")
    return found


def _commit(info: RunInfo) -> str:
    return f"{info.git_commit[:12]}{' with changes' if info.git_dirty else ''}" if info.git_commit else ""

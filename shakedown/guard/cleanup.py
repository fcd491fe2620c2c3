"""What dead runs left behind: found by journal and by label, and taken back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.errors import GuardError
from shakedown.guard.journal import Owner, append_strike, read_journal
from shakedown.guard.labels import OWNER, RUN
from shakedown.guard.undo import carry_out
from shakedown.guard.undo.containers import remove

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["CleanupReport", "cleanup", "remove_labelled", "undo_open"]


@dataclass(slots=True)
class CleanupReport:
    """What was done, and what could not be."""

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=list)  # runs that still go on and were left alone
    elsewhere: list[str] = field(
        default_factory=list
    )  # runs of other machines that hold something, and were left alone


def cleanup(
    runs: Path, client: "DockerClient | None", *, run: str | None = None, say: Callable[[str], None] = lambda _: None
) -> CleanupReport:
    """Take back what dead runs left: open intents of their journals, then everything with their labels.

    Runs whose owner still lives are left alone; so are those of another machine that shares the folder, unless named.

    Args:
        runs: the folder with one folder per run.
        client: the engine, or None when none answers (then containers are reported as not looked at).
        run: only this run.
    """
    report = CleanupReport()
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        journal = folder / "journal.jsonl"
        if not journal.is_file() or (run is not None and folder.name != run):
            continue
        try:
            contents = read_journal(journal)
            owner = contents.owner
            if owner is not None and not owner.here() and run is None:
                if contents.intents:  # else it has ended: nothing of it is left to be told
                    report.elsewhere.append(folder.name)
                continue
            if owner is not None and owner.here() and owner.alive():
                report.live.append(folder.name)
                continue
            undo_open(journal, client, report)
        except GuardError as error:  # this one cannot be read: the others can still be cleaned up
            report.failed.append(f"{folder.name}: {error}")
    if client is not None:
        remove_labelled(client, report, run=run)
    for line in (*report.done, *report.failed):
        say(line)
    return report


def undo_open(journal: Path, client: "DockerClient | None", report: CleanupReport) -> None:
    """Carry out every open undo of a journal, newest first."""
    for intent in read_journal(journal).intents:
        try:
            report.done.append(f"{intent.what}: {carry_out(intent.undo, client)}")
            append_strike(journal, intent.id)
        except (GuardError, OSError) as error:
            report.failed.append(f"{intent.what}: {error}")


def owner_of(labels: dict[str, str] | None) -> Owner | None:
    """The process that a container, network or volume belongs to; None when its labels name none."""
    return Owner.parse((labels or {}).get(OWNER, ""))


def remove_labelled(client: "DockerClient", report: CleanupReport, *, run: str | None, force: bool = False) -> None:
    """Remove containers, networks and volumes with our label whose owner is dead (or, with `force`, any owner)."""
    wanted: dict[str, str | list[str] | bool] = {"label": f"{RUN}={run}" if run else RUN}

    def dead(labels: dict[str, str] | None) -> bool:
        owner = owner_of(labels)
        return force or owner is None or not owner.alive() or (not owner.here() and run is not None)

    from docker.errors import DockerException  # noqa: PLC0415 - see engine.find_engine

    everything: dict[str, Callable[[], Iterable[Any]]] = {
        "container": lambda: client.containers.list(all=True, filters=wanted, ignore_removed=True),
        "network": lambda: client.networks.list(filters=wanted),
        "volume": lambda: client.volumes.list(filters=wanted),
    }
    for kind, look in everything.items():
        try:
            found = list(look())
        except (DockerException, OSError) as error:  # an engine that is busy may answer the next question
            report.failed.append(f"{kind}s cannot be listed: {error}")
            continue
        for one in found:
            labels = one.labels if kind == "container" else one.attrs.get("Labels")
            if dead(labels):
                _remove(kind, one, report)


def _remove(kind: str, one: Any, report: CleanupReport) -> None:
    from docker.errors import DockerException, NotFound  # noqa: PLC0415 - see engine.find_engine

    try:
        if kind == "container":
            remove(one)
        else:
            one.remove(**({"force": True} if kind == "volume" else {}))
        report.done.append(f"{kind} {one.name} removed")
    except NotFound:
        pass
    except (DockerException, OSError) as error:  # an engine that does not answer in time is an OSError of its client's
        if "already in progress" not in str(error):
            report.failed.append(f"{kind} {one.name}: {getattr(error, 'explanation', None) or error}")

"""A load spread over shards: sent out, started together, gathered, and made one result again.

Nothing here knows how a shard gets to its machine: that is a launcher's business. A shard that was lost makes the whole
load untrusted, with the reason; it is never replaced, as its load would be sent twice, and never left out in silence.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import shakedown
from shakedown.errors import LoadError
from shakedown.load.clocks import ClockBounds
from shakedown.load.parcels import unpack
from shakedown.load.runner import rate_held
from shakedown.load.schedule import profile_of
from shakedown.load.shards import Ready, ShardJob, ShardOutcome, Word, files_of, machine
from shakedown.load.spec import LoadSpec
from shakedown.plan.executors import OpenModel
from shakedown.plan.hosts import is_loopback
from shakedown.plan.model import Shards
from shakedown.plan.sharding import unreachable
from shakedown.records.load import GeneratorHealth, LoadCounts, LoadDelta, LoadResult, merge_parts

__all__ = ["Crew", "Launch", "ShardedLoad", "merge_outcomes"]

COME_UP = 120.0  # seconds for all shards to be ready: a cluster may first have to import everything
LEAD = 1.0  # seconds from naming the instant to the instant, beside what the shards need to hear of it
POLL = 0.1
LOOKS_PER_SECOND = 200  # at the orchestrator's word, of all shards together
BEAT = 5.0
LEASE = 30.0
AFTER = 75.0  # seconds after the end of its graceful stop in which a shard must have answered
CLOCKS_APART = 0.1  # seconds: one slot of the time axis's finest counts


class Crew(Protocol):
    """Shards under way."""

    def say(self, word: Word) -> None:
        """Let every shard know; errors are the launcher's to survive: shards that hear nothing end by themselves."""

    def ready(self) -> Mapping[int, Ready]:
        """Shards that became ready since the last call."""

    def ended(self) -> Mapping[int, bytes | BaseException]:
        """Shards that ended since the last call: a packed outcome, or why there is none."""


# Gets shards to where they run, and lets go of everything afterwards.
Launch = Callable[[Shards, Sequence[ShardJob], Word], AbstractContextManager[Crew]]


class ShardedLoad:
    """A load that goes out as shards; to its user the same as a load of this machine, but silent until its end.

    Args:
        spec: of the whole load; each shard runs `spec.workers` processes.
        launch: gets the shards to where they run; None where there is nobody who could.
        on_delta: takes everything that was measured, at the end.
        tell: takes a sentence about each shard.

    Attributes:
        outcomes: of the shards that answered.
        clocks: what the messages prove of each shard's clock.
        lost: why a shard gave no outcome.
    """

    def __init__(
        self, spec: LoadSpec, shards: Shards, launch: Launch | None, on_delta: Callable[[LoadDelta], None],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.spec = spec.model_copy(update={"workers": spec.workers * shards.count})
        self._shards, self._launch, self._on_delta, self._tell = shards, launch, on_delta, tell
        self.outcomes: dict[int, ShardOutcome] = {}
        self.clocks: dict[int, ClockBounds] = {}
        self.lost: dict[int, str] = {}
        self._ready: dict[int, tuple[Ready, float]] = {}
        self._poll = max(POLL, shards.count / LOOKS_PER_SECOND)
        self._word = Word()
        self._until = 0.0
        self._jobs: list[ShardJob] = []

    def start(self) -> None:
        """Make the jobs; all else happens in `wait`.

        Raises:
            LoadError: a file cannot be read, the shards could not reach the service, or nobody can send them out.
        """
        if self._launch is None:
            raise LoadError("this stage cannot spread a load over shards")
        self._jobs = self._make_jobs()

    def _make_jobs(self) -> list[ShardJob]:
        target = self.spec.target
        here = target is not None and is_loopback(target.host)
        if problem := unreachable(self._shards, target.host if target else None, external=not here):
            raise LoadError(problem)
        files = files_of(self.spec) if self._shards.runner in ("dask", "ray") else {}
        origin_wall = time.time() - (time.monotonic() - self.spec.origin)
        return [
            ShardJob(
                spec=self.spec, index=index, count=self._shards.count, origin_wall=origin_wall, files=files,
                machine=machine(), version=shakedown.__version__, patience=COME_UP + LEASE, poll=self._poll, lease=LEASE,
            )
            for index in range(self._shards.count)
        ]  # fmt: skip

    def wait(self, stop: threading.Event) -> LoadResult:
        """From the first shard's way out to the last one's answer.

        Args:
            stop: when set, the load is interrupted.

        Raises:
            LoadError: the load could not be run at all: no cluster, or a mistake that every shard would make.
        """
        jobs = self._jobs
        assert self._launch is not None  # noqa: S101 - `start` has looked
        with self._launch(self._shards, jobs, self._word) as crew:
            self._gather(crew, stop)
        failures = {index: outcome.failure for index, outcome in self.outcomes.items() if outcome.failure}
        if failures:
            index, failure = min(failures.items())
            raise LoadError(f"{jobs[index].name} ({self.outcomes[index].host}): {failure}")
        self._tell_all(jobs)
        start = self._word.start_at if self._word.start_at is not None else time.monotonic() - self.spec.origin
        result = merge_outcomes(
            self.spec,
            self.outcomes,
            count=len(jobs),
            start=start,
            lost=self.lost,
            clocks=self.clocks,
            interrupted=stop.is_set(),
        )
        self._keep_ledgers()
        parts = (result.counts, result.buckets, result.pulses, result.start_lag, result.errors)
        self._on_delta(LoadDelta(result.load, result.end, *parts))
        return result

    @property
    def begins_at(self) -> float | None:
        """The agreed instant (monotonic); None before it is agreed upon."""
        return None if self._word.start_at is None else self.spec.origin + self._word.start_at

    # ----------------------------------------------------------------------------------------------------- under way
    def _gather(self, crew: Crew, stop: threading.Event) -> None:
        count = self._shards.count
        come_up = time.monotonic() + COME_UP
        beat = time.monotonic()
        while len(self.outcomes) + len(self.lost) < count:
            self._take(crew)
            now = time.monotonic()
            if self._word.start_at is None and not self._word.stop:
                if len(self._ready) == count:
                    self._name_instant(crew)
                elif self.lost or any(outcome.failure for outcome in self.outcomes.values()):
                    self._stop(crew)  # it cannot become whole any more: nothing is sent at all
                elif now > come_up:
                    for index in set(range(count)) - set(self._ready):
                        self.lost[index] = f"it did not come up within {COME_UP:g} s: is there a free place for it?"
                    self._stop(crew)
            if stop.is_set() and not self._word.stop:
                self._stop(crew)
            if self._until and now > self._until:
                for index in set(range(count)) - set(self.outcomes) - set(self.lost):
                    self.lost[index] = "it never answered"
            if now - beat > BEAT:
                beat = now
                self._say(crew)
            time.sleep(self._poll)
        if not self._word.stop:
            self._say(crew, stop=True)

    def _take(self, crew: Crew) -> None:
        for index, ready in crew.ready().items():
            self._ready[index] = (ready, time.time())
        for index, answer in crew.ended().items():
            if isinstance(answer, bytes):
                try:
                    outcome = unpack(answer)
                except ValueError as error:
                    self.lost[index] = str(error)
                    continue
                self.lost.pop(index, None)
                self.outcomes[index] = outcome
                self._compare_clocks(index, outcome)
            else:
                self.lost[index] = _in_words(answer)

    def _compare_clocks(self, index: int, outcome: ShardOutcome) -> None:
        if index in self._ready and outcome.told is not None and outcome.heard is not None:
            ready, heard_of = self._ready[index]
            self.clocks[index] = ClockBounds.between(
                said=ready.wall, heard_of=heard_of, told=outcome.told, heard=outcome.heard
            )

    def _name_instant(self, crew: Crew) -> None:
        at = time.monotonic() - self.spec.origin + LEAD + 3 * self._poll + self.spec.executor.start_delay
        self._until = self.spec.origin + at + self.spec.duration + self.spec.executor.graceful_stop + AFTER
        self._say(crew, start_at=at)

    def _stop(self, crew: Crew) -> None:
        grace = self.spec.executor.graceful_stop + AFTER
        limit = time.monotonic() + grace
        self._until = min(self._until, limit) if self._until else limit
        self._say(crew, stop=True)

    def _say(self, crew: Crew, **changes: object) -> None:
        word = {"beat": self._word.beat + 1, "wall": self._word.wall, **changes}
        if "start_at" in changes:
            word["wall"] = time.time()
        self._word = self._word.model_copy(update=word)
        crew.say(self._word)

    # ------------------------------------------------------------------------------------------------------ afterwards
    def _tell_all(self, jobs: Sequence[ShardJob]) -> None:
        for job in jobs:
            outcome = self.outcomes.get(job.index)
            if outcome is None:
                self._tell(f"{job.name} was lost: {self.lost.get(job.index, 'it never answered')}")
            elif outcome.delta is None:
                self._tell(f"{job.name} on {outcome.host} sent nothing: {outcome.refused}")
            else:
                clock = self.clocks.get(job.index)
                self._tell(
                    f"{job.name} on {outcome.host}: {outcome.delta.counts.started} iterations"
                    + (f", {clock}" if clock is not None else "")
                )

    def _keep_ledgers(self) -> None:
        """Put the shards' ledger lines where those of local workers lie."""
        folder = Path(self.spec.ledger_dir)
        for outcome in self.outcomes.values():
            for ledger, files in outcome.ledgers.items():
                for name, lines in files.items():
                    path = folder / Path(ledger).name / Path(name).name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(lines, encoding="utf-8", newline="\n")


def _in_words(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def merge_outcomes(
    spec: LoadSpec, outcomes: Mapping[int, ShardOutcome], *, count: int, start: float, lost: Mapping[int, str],
    clocks: Mapping[int, ClockBounds], interrupted: bool = False,
) -> LoadResult:  # fmt: skip
    """One result of all shards: distributions merged bucket for bucket, counts added, doubts kept.

    Args:
        start: the agreed instant, on the run's axis.
        lost: why there is no outcome of a shard.
        clocks: what is proven of the shards' clocks.
        interrupted: by the user, say.
    """
    total = LoadDelta(spec.label, 0.0, LoadCounts(), {}, {}, {}, [])
    sent = [outcome for _, outcome in sorted(outcomes.items()) if outcome.delta is not None]
    for outcome in sent:
        assert outcome.delta is not None  # noqa: S101 - chosen so
        merge_parts(total, outcome.delta)
    planned_end = start + spec.duration
    stopped = any(outcome.stopped for outcome in sent)
    ends = [outcome.end for outcome in sent]
    # As of one machine's workers: users with a number of iterations may be done early, and the last of them counts.
    end = min(planned_end, (min(ends) if stopped else max(ends)) if ends else start)
    profile = profile_of(spec.executor, Path(spec.base)) if isinstance(spec.executor, OpenModel) else None
    expected = 0.0
    if profile is not None:
        expected = total.counts.scheduled if spec.arrival_seed is not None else profile.expected(end - start)
    unreleased = sum(outcome.unreleased for outcome in sent)
    health = GeneratorHealth(
        cpu=max((outcome.cpu for outcome in sent), default=0.0),
        lag_p99=max((outcome.lag_p99 for outcome in sent), default=0.0),
        workers=spec.workers,
        lost_workers=sum(outcome.lost_workers for outcome in sent) + (count - len(sent)) * (spec.workers // count),
        starved=", and ".join(_doubts(outcomes, count, lost, clocks)) or None,
    )
    return LoadResult(
        load=spec.label, scenario=spec.scenario, stage=spec.stage, repetition=spec.repetition, start=start, end=end,
        executor=spec.executor.type, target_rate=profile.total / spec.duration if profile is not None else None,
        counts=total.counts, buckets=total.buckets, pulses=total.pulses, start_lag=total.start_lag, errors=total.errors,
        generator=health, interrupted=interrupted or any(outcome.cut_short for outcome in sent),
        rate_held=rate_held(spec.executor, total.counts, expected) and not unreleased, warm_up=spec.warm_up,
        degraded=total.degraded,
    )  # fmt: skip


def _doubts(
    outcomes: Mapping[int, ShardOutcome], count: int, lost: Mapping[int, str], clocks: Mapping[int, ClockBounds]
) -> list[str]:  # fmt: skip
    """Why the whole cannot be trusted; empty when it can."""
    found = []
    for index in range(count):
        name = f"shard {index + 1} of {count}"
        outcome = outcomes.get(index)
        if outcome is None:
            found.append(f"{name} was lost: {lost.get(index, 'it never answered')}")
        elif outcome.delta is None:
            found.append(f"{name} sent nothing: {outcome.refused or 'it said no reason'}")
        else:
            if outcome.starved:
                found.append(f"{name}: {outcome.starved}")
            clock = clocks.get(index)
            if clock is not None and clock.proven > CLOCKS_APART:
                found.append(f"{name}: its clock is wrong by {clock.proven:.2f} s at least")
            if abs(outcome.moved) > CLOCKS_APART:
                found.append(f"{name}: its clock was set by {outcome.moved:+.2f} s in mid-load")
    return found

"""`Session`: one run from its first file to its last container."""

import json
import os
import secrets
import shlex
import socket
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import shakedown
from shakedown.clock import RunClock
from shakedown.errors import ExitCode, Interrupted, ShakedownError, StoreError
from shakedown.guard import CleanupReport, Journal, Watchdog
from shakedown.guard.cleanup import remove_labelled
from shakedown.load.calibrate import Calibration, read_calibration
from shakedown.observe import AlertWatch, Observer, Prober
from shakedown.plan import LoadedPlan, load_plan, planned_durations
from shakedown.records.judgement import Finding, Severity
from shakedown.records.load import LoadDelta, LoadResult
from shakedown.records.observation import Event, ProbeResult, Sample
from shakedown.records.suites import SuiteResult
from shakedown.reports import check_template
from shakedown.results import PROFILE_CUTS, Results, Store
from shakedown.results.tables import RunRow
from shakedown.results.workload import machine_digest, workload_digest
from shakedown.services import System
from shakedown.session.fingerprint import environment_of, git_state, image_digests
from shakedown.session.lately import Lately
from shakedown.session.progress import Progress, heard, tell
from shakedown.session.registry import register, unregister
from shakedown.verdict import Verdict

if TYPE_CHECKING:
    from shakedown.session.aborting import Aborts
    from shakedown.session.experiments import FaultBench

__all__ = ["RunOptions", "Session", "StageOutcome", "stage_error"]

STAGES = ("baseline", "stress", "endurance", "faults", "recovery")
KEPT_PROBES = 20_000
SHOWN_LIVE = ("cpu", "memory")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is asked to do.

    Attributes:
        root: the folder for results (`.shakedown`).
        build: what is tested, as the user calls it: runs of one build are compared with those of another.
    """

    plan: Path
    profile: str | None = None
    overrides: tuple[str, ...] = ()
    root: Path = Path(".shakedown")
    seed: int | None = None
    build: str = ""

    def command(self, variables: Sequence[tuple[str, str]] = ()) -> str:
        """The command line that repeats the run, after the environment variables that its plan read."""
        parts = ["shakedown", "run", str(self.plan)]
        if self.profile:
            parts += ["--profile", self.profile]
        for override in self.overrides:
            parts += ["--set", override]
        if self.build:
            parts += ["--build", self.build]
        return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables), shlex.join(parts)])


@dataclass(slots=True)
class StageOutcome:
    """How a stage ended."""

    name: str
    verdict: Verdict
    reason: str = ""


@dataclass(slots=True)
class Session:
    """Everything that belongs to one run."""

    options: RunOptions
    loaded: LoadedPlan
    run_id: str
    clock: RunClock
    run_dir: Path
    store: Store
    results: Results
    journal: Journal
    watchdog: Watchdog
    system: System
    seed: int
    calibration: Calibration | None = None  # of this machine, where there is one
    stop: threading.Event = field(default_factory=threading.Event)
    loads: list[LoadResult] = field(default_factory=list)
    suites: list[SuiteResult] = field(default_factory=list)
    findings: list[tuple[str, Finding]] = field(default_factory=list)
    outcomes: list[StageOutcome] = field(default_factory=list)
    probes: deque[ProbeResult] = field(default_factory=lambda: deque(maxlen=KEPT_PROBES))
    lately: Lately = field(default_factory=Lately)  # what loads did, for the terminal
    latest: dict[tuple[str, str], float] = field(default_factory=dict)  # source, series -> its last sample
    idle: dict[str, list[float]] = field(default_factory=dict)  # after the baseline's loads, by `service.series`
    observer: Observer | None = None
    prober: Prober | None = None
    alerts: AlertWatch | None = None
    bench: "FaultBench | None" = None  # the faults stage's own
    aborts: "Aborts | None" = None  # of the stage that runs, when a threshold of it may end its loads
    lost_writes: list[str] = field(default_factory=list)  # results that could not be stored: the run cannot pass

    # -------------------------------------------------------------------------------------------------- opening, closing
    @classmethod
    def open(cls, options: RunOptions) -> Self:
        """Load the plan, open the store, begin the journal, set the watchdog on.

        Raises:
            PlanError: the plan is wrong.
            UsageError: a template that it names is wrong.
            StoreError, GuardError: something cannot be written.
        """
        loaded = load_plan(options.plan, profile=options.profile, overrides=options.overrides, environ=os.environ)
        for name in loaded.plan.report.templates:
            check_template(loaded.base / name)  # a mistake is told now, not after the run
        clock = RunClock.start()
        run_id = f"{clock.wall:%Y%m%d-%H%M%S}-{loaded.plan.name}-{secrets.token_hex(2)}"
        root = options.root.resolve()
        run_dir = root / "runs" / run_id
        store = Store.open(root)
        journal = Journal(run_dir / "journal.jsonl", run=run_id, plan=loaded.plan.name)
        watchdog = Watchdog.start(run_dir, run_id)
        seed = options.seed if options.seed is not None else secrets.randbelow(2**31)

        def relay(event: Event) -> None:  # the session is made after the system that it is told by
            session.on_event(event)

        system = System(
            loaded.plan, base=loaded.base, run=run_id, clock=clock, journal=journal, run_dir=run_dir,
            on_event=relay, redact=loaded.redactor.redact,
        )  # fmt: skip
        session = cls(
            options,
            loaded,
            run_id,
            clock,
            run_dir,
            store,
            Results(store.engine),
            journal,
            watchdog,
            system,
            seed,
            read_calibration(root),
        )
        store.begin_run(session._row())
        register(session)
        session.say("run", loaded.plan.name, f"run {run_id}")
        return session

    def _row(self) -> RunRow:
        loaded, environment = self.loaded, environment_of()
        if loaded.cuts:
            environment[PROFILE_CUTS] = loaded.cuts
        commit, dirty = git_state(loaded.base)
        return RunRow(
            id=self.run_id, plan=loaded.plan.name, plan_path=str(loaded.path), plan_digest=loaded.digest,
            plan_json=loaded.resolved, profile=loaded.profile, overrides=json.dumps(loaded.overrides),
            command=loaded.redactor.redact(self.options.command(loaded.variables)), started=self.clock.wall, status="running",
            host=socket.gethostname(), pid=self.journal.owner.pid, pid_created=self.journal.owner.created,
            version=shakedown.__version__, seed=self.seed, planned=sum(planned_durations(loaded.plan).values()),
            environment=json.dumps(environment), machine=machine_digest(environment), build=self.options.build,
            workload=workload_digest(loaded.resolved), git_commit=commit, git_dirty=dirty, kernel=environment["kernel"],
            cpu=environment["cpu"], cores=os.cpu_count(), memory=int(environment["memory"]), python=environment["python"],
        )  # fmt: skip

    def start_system(self) -> None:
        """Start the services, then watch them.

        Raises:
            ServiceError: one cannot be started or never got healthy.
        """
        self.say("service", "", "starting the services")
        self.system.start(self.stop)
        handles = self.system.handles
        digests, engine = image_digests(self.system.client, {name: handle.image for name, handle in handles.items()})
        self.store.add_services(
            self.run_id, ((name, handle.kind, handle.image) for name, handle in handles.items()), digests
        )
        self.store.add_engine(self.run_id, engine)
        self.observer = Observer(
            self.system,
            self.clock,
            self.on_samples,
            self.on_event,
            self.loaded.plan.sample_every,
            self.loaded.redactor.redact,
        )
        self.prober = Prober(self.system, self.clock, self.on_probes)
        self.observer.start()
        self.prober.start()
        self.alerts = AlertWatch(self.system, self.clock, self.run_dir / "logs", self.on_samples, self.on_event)
        self.alerts.start()

    def stop_system(self) -> list[str]:
        """Stop watching, stop the services, and look whether anything of ours is left; problems as sentences."""
        for watcher in (self.alerts, self.prober, self.observer):
            if watcher is not None:
                watcher.stop()
        self.alerts = self.prober = self.observer = None
        problems = self.system.stop()
        for intent in self.journal.open_intents():
            problems.append(f"still open after the end: {intent.what}")
        if self.system.client is not None:
            report = CleanupReport()
            remove_labelled(self.system.client, report, run=self.run_id, force=True)
            problems += [f"left behind and removed now: {line}" for line in report.done]
            problems += [f"left behind: {line}" for line in report.failed]
        return problems

    def close(
        self, *, status: Literal["finished", "interrupted"], verdict: Verdict | None, reason: str, code: ExitCode
    ) -> None:
        """The run is over; the watchdog goes home if nothing is open any more."""
        try:
            self.store.end_run(
                self.run_id, status=status, verdict=verdict, reason=reason, exit_code=code, at=self.clock.now()
            )
        finally:
            unregister(self)
            self.watchdog.close()

    # ------------------------------------------------------------------------------------------------------ what happens
    def say(
        self, kind: str, subject: str, text: str, *, event: str = "", numbers: Mapping[str, float] | None = None
    ) -> None:
        """Tell whoever listens."""
        said = self.loaded.redactor.redact(text)
        tell(Progress(self.run_id, self.clock.now(), kind, subject, said, event, numbers or {}))  # type: ignore[arg-type]

    def on_event(self, event: Event) -> None:
        """An event for the time axis."""
        kind = event.kind.partition(".")[0]
        if event.kind != "service.progress":
            self._keep(lambda: self.store.add_event(self.run_id, event))
        self.say(
            {"service": "service", "fault": "fault"}.get(kind, "warning" if kind == "sampler" else "stage"),
            event.subject,
            event.message,
            event=event.kind,
        )

    def on_samples(self, samples: Sequence[Sample]) -> None:
        """Samples from the observer."""
        self.latest.update({(sample.source, sample.series): sample.value for sample in samples})
        self._keep(lambda: self.store.add_samples(self.run_id, samples))
        if not heard():
            return
        found: dict[str, dict[str, float]] = {}
        for sample in samples:
            if sample.series in SHOWN_LIVE:
                found.setdefault(sample.source, {})[sample.series] = sample.value
        for source, numbers in found.items():
            self.say("resources", source, "", numbers=numbers)

    def on_probes(self, probes: Sequence[ProbeResult]) -> None:
        """Looks from the prober."""
        self.probes.extend(probes)
        self._keep(lambda: self.store.add_probes(self.run_id, probes))

    def on_delta(self, stage: str, repetition: int, delta: LoadDelta) -> None:
        """What a load measured since its last delta."""
        for error in delta.errors:  # an answer may say what a request said
            error.example = self.loaded.redactor.redact(error.example)
        self._keep(lambda: self.store.add_delta(self.run_id, stage, repetition, delta))
        if self.aborts is not None:
            self.aborts.take(delta)
        if heard() and (recent := self.lately.take(delta, self.clock.now())) is not None:
            self.say("load", delta.load, str(recent))

    def _keep(self, write: object) -> None:
        """Store something from a thread that cannot fail the run by itself; the loss is remembered and fails it later."""
        try:
            write()  # type: ignore[operator]
        except StoreError as error:
            if not self.lost_writes:
                self.say("warning", "", str(error))
            self.lost_writes.append(str(error))

    # ------------------------------------------------------------------------------------------------------------ stages
    def check_stop(self) -> None:
        """Raise when the run is to end.

        Raises:
            Interrupted: it is.
        """
        if self.stop.is_set():
            raise Interrupted("the run was interrupted")

    def begin_stage(self, name: str) -> None:
        """A stage begins."""
        self.check_stop()
        at = self.clock.now()
        self.store.begin_stage(self.run_id, name, STAGES.index(name), at)
        self.on_event(Event(at, "stage.start", name, f"{name} begins"))

    def end_stage(self, name: str, verdict: Verdict, reason: str) -> StageOutcome:
        """A stage ended."""
        at = self.clock.now()
        self.store.end_stage(self.run_id, name, verdict, reason, at)
        self.on_event(Event(at, "stage.end", name, f"{name} {verdict}" + (f": {reason}" if reason else "")))
        outcome = StageOutcome(name, verdict, reason)
        self.outcomes.append(outcome)
        return outcome

    def skip_stage(self, name: str, reason: str) -> None:
        """A stage will not run."""
        self.store.skip_stage(self.run_id, name, STAGES.index(name), reason)
        self.outcomes.append(StageOutcome(name, Verdict.SKIPPED, reason))
        self.say("stage", name, f"{name} skipped: {reason}")

    def find(self, stage: str, finding: Finding) -> None:
        """Something that a reader must know."""
        self.findings.append((stage, finding))
        self.store.add_findings(self.run_id, stage, [finding])
        if finding.severity is not Severity.NOTE:
            self.say("finding", finding.subject, finding.title)

    def started(self) -> datetime:
        """When the run began."""
        return self.clock.wall

    def report_dir(self) -> Path:
        """Where the run's report goes."""
        return self.run_dir / "report"


def stage_error(session: Session, name: str, error: ShakedownError) -> StageOutcome:
    """A stage that could not be carried through: our fault or the plan's, told as a finding."""
    session.find(name, Finding(Severity.DOUBT, f"{name} could not be carried through", cause=str(error), subject=name))
    return session.end_stage(name, Verdict.ERROR, str(error))

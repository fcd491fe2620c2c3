"""A run's faults stage without Prefect, for tests that kill it: `orchestrate PLAN ROOT SEED [TRANSITION]`, lines of JSON.

At a transition of the journal or of the fault it kills itself: `intended`, `injected`, `proved`, `reverted`, `struck`.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shakedown.errors import ExitCode, Interrupted, ShakedownError
from shakedown.faults.network.latency import LatencyFault
from shakedown.faults.network.partition import PartitionFault
from shakedown.faults.service.kill import KillFault
from shakedown.faults.service.pause import PauseFault
from shakedown.guard import Journal
from shakedown.guard.journal import Intent
from shakedown.session import RunOptions, Session
from shakedown.session.experiments import bench_of
from shakedown.verdict import Verdict, combine


def say(what: str, **more: object) -> None:
    """A line for whoever watches."""
    print(json.dumps({"what": what, **more}), flush=True)  # noqa: T201 - told to the parent


def stage(session: Session) -> list[tuple[Verdict, str]]:
    """Steady load, each experiment, the judgement."""
    session.begin_stage("faults")
    bench = bench_of(session)
    try:
        bench.warm_up()
        for experiment in session.loaded.plan.experiments:
            say("begin", name=experiment.name)
            bench.run(experiment)
            say("end", name=experiment.name)
        bench.finish()
    finally:
        bench.close()
    return bench.judge()


def die_at(transition: str) -> None:
    """From now on, SIGKILL ourselves as soon as the step that ends in this transition has been done."""

    def deadly(step: Callable[..., Any], when: Callable[..., bool]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            outcome = step(*arguments, **named)
            if when(outcome, *arguments):
                os.kill(os.getpid(), signal.SIGKILL)
            return outcome

        return run

    faults: set[str] = set()

    def of_a_fault(intent: Intent, *_: object) -> bool:
        if intent.kind == "fault":
            faults.add(intent.id)
        return transition == "intended" and intent.kind == "fault"

    Journal.intend = deadly(Journal.intend, of_a_fault)  # type: ignore[method-assign]
    Journal.strike = deadly(  # type: ignore[method-assign]
        Journal.strike, lambda _, __, intent: transition == "struck" and intent in faults
    )
    for fault in {KillFault, PauseFault, LatencyFault, PartitionFault}:
        for name, end in (("inject", "injected"), ("effect", "proved"), ("revert", "reverted")):
            kill = transition == end
            held = name == "effect"
            step = deadly(
                getattr(fault, name), lambda outcome, *_, kill=kill, held=held: kill and (not held or outcome.held)
            )
            setattr(fault, name, step)


def main() -> None:
    """As flows.pipeline does it."""
    plan, root, seed, *transition = sys.argv[1:]
    if transition:
        die_at(transition[0])
    session = Session.open(RunOptions(Path(plan), root=Path(root), seed=int(seed)))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: session.stop.set())
    say("open", run=session.run_id, folder=str(session.run_dir))
    verdict, reason, found = None, "interrupted", []
    try:
        session.start_system()
        say("started")
        found = stage(session)
        verdict, reason = combine(one for one, _ in found), "; ".join(words for _, words in found)
    except Interrupted:
        pass
    except ShakedownError as error:
        verdict, reason = Verdict.ERROR, str(error)
    finally:
        problems = session.stop_system()
    records = session.bench.records if session.bench is not None else []
    session.close(
        status="interrupted" if verdict is None else "finished",
        verdict=verdict, reason=reason, code=ExitCode.PASSED,
    )  # fmt: skip
    say(
        "over", verdict=str(verdict), reason=reason, problems=problems, limits=[record.limit for record in records],
        verdicts=[str(one) for one, _ in found],
        injections=[
            [
                {
                    "fault": one.fault, "target": one.target, "asked": one.asked_at, "applied": one.applied_at,
                    "revert_asked": one.revert_asked_at, "reverted": one.reverted_at, "refused": one.refused,
                    "error": one.error, "effect": one.effect.held if one.effect else None,
                    "gone": one.gone.held if one.gone else None, "parameters": one.parameters, "layers": one.layers,
                }
                for one in record.injections
            ]
            for record in records
        ],
        aborted=[record.aborted for record in records],
    )  # fmt: skip


if __name__ == "__main__":
    main()

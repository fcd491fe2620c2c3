"""A fault's whole life on a real system, for the tests of each fault."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shakedown.faults import FaultContext, build_fault, run_fault
from shakedown.faults.agents import Agents
from shakedown.plan.faults import FaultModel
from shakedown.records.experiment import Injection
from shakedown.services import System

NOTES = os.environ.get("SHAKEDOWN_TEST_FAULT_NOTES", "")  # a file for `make bench-faults`; read before tests clear it


def context_of(system: System) -> FaultContext:
    """What a fault of this system works with."""
    return FaultContext(system, system.journal, system._clock, threading.Event(), Agents(system, system.journal))


def inject(
    system: System, plan: FaultModel, hold: float = 2.0, during: Callable[[], Any] | None = None
) -> tuple[Injection, list[Any]]:
    """Run a fault's life; `during` is called at the injection. The record, and what `during` returned."""
    context = context_of(system)
    fault = build_fault(plan, context)
    record = Injection(plan.type, plan.where, fault.parameters, fault.mechanism, fault.layers)
    found: list[Any] = []
    threads: list[threading.Thread] = []

    def on_event(event):
        if event.kind == "fault.injected" and during is not None:
            threads.append(threading.Thread(target=lambda: found.append(during())))
            threads[-1].start()

    run_fault(fault, record, hold, context, subject="e", on_event=on_event, save=lambda: None)
    for thread in threads:
        thread.join(10)
    fault.close()
    context.agents.close()
    if NOTES:
        with Path(NOTES).open("a", encoding="utf-8") as notes:
            notes.write(json.dumps(asdict(record)) + "\n")
    assert [intent for intent in system.journal.open_intents() if intent.kind in ("fault", "agent")] == []
    return record, found

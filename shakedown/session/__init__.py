"""A live run: plan, clock, journal, services, samplers and store, wired together.

============  ====================================================================
live          `Session`: opens everything, closes everything
registry      sessions by run, so that flows and tasks pass names, not objects
progress      what happens, told to whoever listens
measure       loads, suites and cycles, measured and stored
experiments   one experiment: fault, watching, judgement
recoveries    what is measured of each experiment: moments, phases, health, alerts, what got worse
steady_state  what the plan declares that steady state needs
alerting      alerts as states over time; false alarms
behaviour     how the system behaved in an experiment
comeback      the recovery stage: comparison, leftovers by the journal
ledgers       ledgers read back and judged
invariants    what holds at rest, before the faults and after everything
picture       every service before the faults and at the end, compared
aftermath     restarts, kills, new kinds of error lines
endurance     what repetitions say
doctor        what this machine can and cannot do
judging       stages and runs: from results to verdicts
fingerprint   what a run is measured on
history       a run beside the runs before it
============  ====================================================================
"""

from shakedown.session.live import RunOptions, Session
from shakedown.session.progress import Progress, listen
from shakedown.session.registry import current

__all__ = ["Progress", "RunOptions", "Session", "current", "listen"]

"""Shakedown takes a service through baseline, stress, endurance, faults and recovery, and says with evidence whether it holds.

The rooms, from the ground up (a module imports from lower rooms or its own, never from higher ones)::

    cli          commands: run, validate, runs, report, cleanup, doctor, schema, init
    flows/       (top level) Prefect flows: which steps, in which order
    tasks/       (top level) Prefect tasks: one step each
    session      a live run: plan, clock, services, journal, samplers and store, wired together
    reports      what a report shows: Markdown, SVG charts, JSON
    results      SQLModel tables, migrations, queries
    load         executors, HTTP engine, worker processes
    suites       test suites run in parallel and repeated
    observe      samplers and health probes onto the time axis
    faults       the catalogue and the agent inside a container's network namespace
    ledgers      what was written, and whether it can be read back
    services     the system under test: containers, processes, external addresses
    guard        the intent journal, undo operations, the watchdog, clean-up
    analysis     pure judgements: thresholds, percentiles, trends, recovery
    records      plain data that everything above produces and judges
    plan         the plan's schema and its loading
    errors, verdict, clock, units   the ground
"""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("shakedown")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

"""Prefect tasks: one step each, thin. They are given names; the live run is looked up (`shakedown.session.current`).

========  ==================================================================
services  start and stop the system under test
load      one load
suites    one execution of a suite
faults    one experiment
recovery  what is kept before, and looked at afterwards: comparison, invariants, ledgers, leftovers
report    the report
artifacts what a run leaves in Prefect's UI
events    what a run says to Prefect's automations
reach     whether the server still answers, and a run without it
========  ==================================================================
"""

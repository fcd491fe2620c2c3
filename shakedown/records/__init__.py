"""Plain data: what was measured and what was concluded. No I/O, no clock; everything above produces or judges these.

All times are float seconds since the run began (see shakedown.clock).

==============  ==========================================================================
histogram       a mergeable log-bucket histogram
load            what a load did: counts, buckets per second, pulses, errors
observation     samples, health probes, events
suites          outcomes of tests
experiment      what was injected, proved, reverted and seen
ledger          what was written and whether it was found again
judgement       threshold results and findings
==============  ==========================================================================
"""

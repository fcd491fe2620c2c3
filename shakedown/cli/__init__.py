"""The command line. Data goes to standard output, everything else to standard error.

========  ==================================================================
app       the commands and their options; imports nothing heavy
run       `run`: the pipeline, with live progress
compare   `compare`: two groups of runs; builds: two builds, run in turn
trend     `trend`: one figure over all runs
prune     `prune`: old runs
export    `export`, `import`
repeat    runs as processes of their own
show      `runs`, `report`, `validate`, `schema`
init      `init`: a first plan, also from OpenAPI, HAR and curl
machine   `doctor`, `cleanup`
proxy     `proxy`: the proxy by itself
console   lines and tables on a terminal and elsewhere
========  ==================================================================
"""

from shakedown.cli.app import main

__all__ = ["main"]

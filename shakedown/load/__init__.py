"""Load: schedules kept from absolute times, an HTTP engine, and workers in processes of their own.

::

    runner (parent) ──job as a line of JSON──▶ worker ──▶ engine ──▶ executor ──▶ users of a driver ──▶ the service
                    ◀──deltas, a line each────              └─▶ recorder

=========  ==========================================================================
spec       what a load is, made from a plan
schedule   due times of an open model
executors  when iterations start
alarm      waking the loop at an instant
engine     counts everything, and watches itself
vu         what an engine and its users ask of each other
context    rows and functions for templates, and the randomness behind them
values     templates that keep the type of a single expression
http       HTTP/1.1, made for speed
drivers    everything else that a scenario may speak
recorder   what happened, folded into deltas
codec      deltas as lines
worker     the process
runner     starts workers, merges what they send
shards     a share of a load, wherever a task runner takes it
spread     the shards of a load, started together and merged exactly
calibrate  what this machine's generator can do, against a service that does next to nothing
=========  ==========================================================================
"""

from shakedown.load.runner import LoadHandle
from shakedown.load.spec import LoadSpec, build_spec

__all__ = ["LoadHandle", "LoadSpec", "build_spec"]

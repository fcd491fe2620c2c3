"""Load: schedules kept from absolute times, an HTTP engine, and workers in processes of their own.

::

    runner (parent) ──job as a line of JSON──▶ worker ──▶ engine: schedule → slots → connections ──▶ the service
                    ◀──deltas, a line each────                  └─▶ recorder

=========  ==========================================================================
spec       what a load is, made from a plan
schedule   due times of an open model
requests   templates compiled once
http1      one HTTP/1.1 connection
slots      one virtual user: an iteration, request by request
engine     executors: releases iterations, watches itself
recorder   what happened, folded into deltas
codec      deltas as lines
worker     the process
runner     starts workers, merges what they send
=========  ==========================================================================
"""

from shakedown.load.runner import LoadHandle
from shakedown.load.spec import LoadSpec, build_spec

__all__ = ["LoadHandle", "LoadSpec", "build_spec"]

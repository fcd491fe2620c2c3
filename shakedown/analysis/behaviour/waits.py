"""How long clients waited, and whether anybody made them wait beyond a limit."""

from shakedown.records.behaviour import Wait
from shakedown.records.load import LoadResult, Outcome

__all__ = ["SHOWN", "beyond", "longest_waits"]

SHOWN = 5


def longest_waits(load: LoadResult, start: float, end: float) -> list[Wait]:
    """The longest wait of each request and second between two instants, longest first.

    A wait counts from the actual send, so that it is the service's and not the generator's. Requests that were sent
    before `start` and were still waiting then belong here too: the fault found them under way.
    """
    found = []
    for key, bucket in load.buckets.items():
        if key.warm_up or key.outcome is Outcome.CANCELLED or not bucket.service.count:
            continue
        longest = bucket.service.max
        if key.second < end and key.second + 1 + longest > start:
            found.append(Wait(key.request, float(key.second), longest, key.outcome.value))
    found.sort(key=lambda wait: (-wait.seconds, wait.at))
    return [wait for wait in found if wait.at + 1 > start or wait.at + wait.seconds > start]


def beyond(waits: list[Wait], limit: float) -> list[Wait]:
    """Those that were longer than allowed; a client that gave up at its own limit waited at least so long."""
    return [wait for wait in waits if wait.seconds > limit or (wait.outcome == "timed_out" and wait.seconds >= limit)]

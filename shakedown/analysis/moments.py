"""Where an instant lies among the faults of a run, in words."""

from collections.abc import Callable, Sequence

from shakedown.records.experiment import ExperimentRecord

__all__ = ["moment_among"]

JUST_BEFORE = 2.0  # seconds: what was sent so shortly before a fault may have been in hand when it came


def moment_among(experiments: Sequence[ExperimentRecord]) -> Callable[[float], str]:
    """What says of an instant where it lies: `3.2 s into redis killed`, `0.4 s after redis killed`, `before any fault`."""
    spans = sorted(
        (record.applied_at, record.reverted_at if record.reverted_at is not None else float("inf"), record.name)
        for record in experiments
        if record.applied_at is not None
    )

    def of(at: float) -> str:
        for begin, end, name in spans:
            if begin <= at <= end:
                return f"{at - begin:.1f} s into {name}"
        coming = next(((begin, name) for begin, _, name in spans if 0 < begin - at <= JUST_BEFORE), None)
        if coming is not None:
            return f"{coming[0] - at:.1f} s before {coming[1]}"
        past = [(end, name) for _, end, name in spans if end < at]
        if past:
            end, name = max(past)
            return f"{at - end:.1f} s after {name}"
        return "before any fault" if spans else "there was no fault"

    return of

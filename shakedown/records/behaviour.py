"""How the system behaved during one experiment, beyond failing and coming back."""

from dataclasses import dataclass

__all__ = ["BehaviourRecord"]


@dataclass(frozen=True, slots=True)
class BehaviourRecord:
    """What was measured of an experiment's behaviour; stored within the experiment's `RecoveryMeasurement`.

    Every field has a default, so that what an earlier version stored can still be read.
    """

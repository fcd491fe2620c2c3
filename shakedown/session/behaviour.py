"""How the system behaved in one experiment: called once for each experiment whose fault took effect."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shakedown.records.behaviour import BehaviourRecord
from shakedown.records.experiment import ExperimentRecord
from shakedown.records.judgement import Finding
from shakedown.records.load import LoadResult
from shakedown.records.recovery import RecoveryMeasurement
from shakedown.session.live import Session
from shakedown.verdict import Verdict

if TYPE_CHECKING:
    from shakedown.session.experiments import FaultBench

__all__ = ["Behaviour", "judge"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one experiment's behaviour comes to.

    Attributes:
        record: what was measured; stored as `RecoveryMeasurement.behaviour`.
        findings: what a reader must know; one of severity failure fails the stage by itself.
        parts: verdicts with their reasons, which count in the experiment's own verdict.
    """

    record: BehaviourRecord | None = None
    findings: tuple[Finding, ...] = ()
    parts: tuple[tuple[Verdict, str], ...] = ()


def judge(
    session: Session, record: ExperimentRecord, recovery: RecoveryMeasurement, load: LoadResult, bench: "FaultBench"
) -> Behaviour:
    """Judge one experiment's behaviour on everything that was measured.

    Args:
        load: the background load of the whole stage, ended.
        bench: of the stage; its steady state, and all records so far.
    """
    del session, record, recovery, load, bench
    return Behaviour()

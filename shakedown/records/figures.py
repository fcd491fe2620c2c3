"""Figures of a run, which runs are compared by, and what comparisons say."""

from dataclasses import dataclass
from enum import StrEnum

from shakedown.units import format_duration, format_number, format_share, format_size

__all__ = ["Change", "Difference", "Figure", "FigureName", "Outlook", "show_value"]


@dataclass(frozen=True, slots=True, order=True)
class FigureName:
    """What a figure is of: `stress.send.p95`.

    Attributes:
        subject: a load's label, a service, a suite, or an experiment.
    """

    stage: str
    subject: str
    metric: str

    @classmethod
    def parse(cls, text: str) -> "FigureName":
        """From `stage.subject.metric`; an experiment's name may have dots of its own.

        Raises:
            ValueError: it has not three parts.
        """
        stage, _, rest = text.partition(".")
        subject, _, metric = rest.rpartition(".")
        if not (stage and subject and metric):
            raise ValueError(f"not a figure: {text!r}; write stage.subject.metric, such as stress.send.p95")
        return cls(stage, subject, metric)

    def __str__(self) -> str:
        return f"{self.stage}.{self.subject}.{self.metric}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one run.

    Attributes:
        unit: "s", "B", "%", "/s".
        value: None where nothing was measured.
        doubt: why it may not be compared; empty when it may.
    """

    name: FigureName
    unit: str
    value: float | None
    samples: int
    doubt: str = ""

    @property
    def sound(self) -> float | None:
        """The value, if it may be compared."""
        return None if self.doubt else self.value


class Change(StrEnum):
    """What a comparison says of a figure."""

    REGRESSED = "regressed"
    SUSPECT = "suspect"  # one new run is beyond the limit; the next ones tell
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two groups of runs.

    Attributes:
        before, after: geometric means (means, where differences are compared); None without runs.
        shift, low, high: the change and its 90 % interval: relative, or absolute where differences are compared.
        chance: that a change of at most the least effect would look like this, corrected for the number of figures.
        needed: about how many runs a side would tell; None when this is told, or nobody knows.
    """

    change: Change
    before: float | None
    after: float | None
    runs: tuple[int, int]
    shift: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float = 1.0
    needed: int | None = None
    relative: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A new run's figure beside the runs before it.

    Attributes:
        usual: the median of the runs before.
        limit: beyond it a value is suspect.
        runs: how many runs before.
        in_a_row: how many of the last runs, the new one first, are beyond the limit.
    """

    change: Change
    value: float | None
    usual: float | None = None
    limit: float | None = None
    runs: int = 0
    in_a_row: int = 0
    reason: str = ""


def show_value(value: float | None, unit: str) -> str:
    """A figure for people."""
    if value is None:
        return "–"
    shape = {"s": format_duration, "B": format_size, "%": format_share}.get(unit)
    return f"{format_number(value)}{unit}" if shape is None else shape(value)

"""Figures of a run: what runs are compared by."""

from dataclasses import dataclass

__all__ = ["Figure", "FigureName"]


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

"""What must be back where it was after the baseline, once nothing is asked of the services any more."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from shakedown.plan.base import PlanModel
from shakedown.plan.threshold_values import SERIES_UNITS
from shakedown.plan.values import Duration, Share
from shakedown.units import parse_size

__all__ = ["COUNTING", "Freed", "FreedOrName"]

# What only ever counts up comes back to nothing.
COUNTING = ("network_rx", "network_tx", "block_read", "block_write", "context_switches", "restarts", "oom_kills")
MEMORY_MARGIN = 16e6
COUNT_MARGIN = 4.0


def _margin(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


class Freed(PlanModel):
    """A series of a service that is read when all is idle: after the baseline's loads, and after recovery's."""

    series: str = Field(description="`service.series`: memory_anon, open_files, sockets_established, a probe, …")
    tolerance: Share = Field(default=0.25, ge=0, le=10, description="how much more than after the baseline, a share")
    margin: Annotated[float, BeforeValidator(_margin)] | None = Field(
        default=None, ge=0,
        description="growth that does not count, in the series' unit: a number, or a size such as 16MB; "
        "by default 16 MB of memory, 4 files, sockets, threads or processes, and nothing else",
    )  # fmt: skip
    within: Duration = Field(
        default=30.0, ge=0, le=3600, description="how long it may take to come back, idle, after recovery's loads"
    )

    @property
    def least(self) -> float:
        """Growth that does not count, in the series' unit."""
        if self.margin is not None:
            return self.margin
        series = self.series.partition(".")[2]
        if series in SERIES_UNITS and SERIES_UNITS[series] == "B":
            return MEMORY_MARGIN
        return COUNT_MARGIN if series in SERIES_UNITS and series != "cpu" else 0.0


def _as_freed(value: object) -> object:
    return {"series": value} if isinstance(value, str) else value


FreedOrName = Annotated[Freed, BeforeValidator(_as_freed)]

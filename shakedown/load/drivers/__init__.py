"""What scenarios speak."""

from typing import TYPE_CHECKING

from shakedown.load.http import HttpDriver
from shakedown.load.vu import Driver

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["driver_of"]


def driver_of(engine: "Engine") -> Driver:
    """The driver of a load's scenario."""
    return HttpDriver(engine)

"""Faults: injected, proved, held, reverted, and proved gone.

::

    check the ground → write the intent down → inject → prove it took effect → hold
                     → revert → prove it is gone → strike the intent out

=========  ==============================================================
base       what every fault is, and what it is given
life       the life of a fault, whatever happens in it
schedule   which faults of an experiment begin when
registry   types to faults
catalogue  what the code says of each, in words
agents     orders to agents inside containers' network namespaces
agent/     the agent's image
service/   faults of whole services
network/   faults of the network around a service
=========  ==============================================================
"""

from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.life import Gate, run_fault
from shakedown.faults.registry import FAULTS, build_fault
from shakedown.faults.schedule import Planned, schedule_of, seed_of

__all__ = ["FAULTS", "Fault", "FaultContext", "Gate", "Planned", "build_fault", "run_fault", "schedule_of", "seed_of"]

"""Looking at the system and its surroundings, without touching it.

===========  =====================================================================
observer     resources once a second: containers, processes, host, Prometheus
containers   Docker's statistics
processes    psutil: process trees, the host, ourselves
prometheus   the text format
prober       health, ten times a second
alerts       whether alerts fire: HTTP answers, lines of logs
===========  =====================================================================
"""

from shakedown.observe.alerts import AlertWatch
from shakedown.observe.observer import Observer
from shakedown.observe.prober import Prober
from shakedown.observe.processes import whole_machine

__all__ = ["AlertWatch", "Observer", "Prober", "whole_machine"]

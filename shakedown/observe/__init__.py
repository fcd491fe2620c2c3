"""Looking at the system and its surroundings, without touching it.

===========  =====================================================================
observer     resources once a second: containers, processes, host, Prometheus
rounds       who is read at once, who is asked beside; what fails, what it costs
containers   one container, by either way:
cgroups        the kernel's own files
engine         Docker's statistics
lives          which containers run, by the engine's events
processes    psutil: process trees (family), the host, ourselves
sockets      TCP sockets by state
sparing      what costs much is done less often
prometheus   the text format
probes       values of the plan's own: SQL, Redis, HTTP, programs
alerts       whether alerts fire: HTTP answers, lines of logs
prober       health, ten times a second
===========  =====================================================================
"""

from shakedown.observe.alerts import AlertWatch
from shakedown.observe.observer import Observer
from shakedown.observe.prober import Prober
from shakedown.observe.processes import whole_machine

__all__ = ["AlertWatch", "Observer", "Prober", "whole_machine"]

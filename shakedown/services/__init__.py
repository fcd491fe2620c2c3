"""The system under test: containers, processes and external addresses, started in order and seen to be healthy.

==========  =========================================================================
system      `System`: starts, finds and stops all services of a plan
docker      containers, images, the run's network
compose     a Compose project: started for the run, or attached to   compose_tool, compose_config beside it
process     programs on this machine
foreground  the proxy before a process or an outside URL
handle      what the rest of the program knows of a service
health      one look at a service
ports       free ports on this machine
==========  =========================================================================
"""

from shakedown.services.handle import Address, Handle
from shakedown.services.system import System

__all__ = ["Address", "Handle", "System"]

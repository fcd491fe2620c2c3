"""Faults of HTTP answers, made by the proxy.

============  =====================================================
requests      what they have in common: which requests, and the proof
counts        what the proxy counted, and whether that is enough
tls           TLS that ends in the proxy: what it is given, what it tells
status        a status instead of an answer
abort         the connection ends instead of an answer
hang          no answer
delay         answers later
truncate      bodies cut short
body          other bodies
header        other headers
content_type  another Content-Type
slow_drip     bodies in drips
============  =====================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.http.abort import AbortFault
from shakedown.faults.http.body import BodyFault
from shakedown.faults.http.content_type import ContentTypeFault
from shakedown.faults.http.delay import DelayFault
from shakedown.faults.http.hang import HangFault
from shakedown.faults.http.header import HeaderFault
from shakedown.faults.http.slow_drip import SlowDripFault
from shakedown.faults.http.status import StatusFault
from shakedown.faults.http.truncate import TruncateFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "http-status": StatusFault,
    "http-abort": AbortFault,
    "http-hang": HangFault,
    "http-delay": DelayFault,
    "http-truncate": TruncateFault,
    "http-body": BodyFault,
    "http-header": HeaderFault,
    "http-content-type": ContentTypeFault,
    "http-slow-drip": SlowDripFault,
}

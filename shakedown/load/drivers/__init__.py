"""What scenarios speak.

=============  ==========================================================================
users          users whose iterations are tasks: the base of all drivers here
operations     operations that a plan lists, in order or drawn by weight
sql            statements and transactions; sql_errors says what went wrong
redis          commands and pipelines
tcp            bytes
websocket      messages
python         functions of one's own; threads runs those that are not async, stdio keeps
               their output apart from the worker's
through_httpx  HTTP/2 and proxies, with the requests of the HTTP/1.1 driver
=============  ==========================================================================
"""

from typing import TYPE_CHECKING

from shakedown.load.http import HttpDriver
from shakedown.load.vu import Driver

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["driver_of"]


def driver_of(engine: "Engine") -> Driver:
    """The driver of a load's scenario; its libraries are loaded only where it is spoken.

    Raises:
        LoadError: what it needs is not there.
    """
    # ruff: noqa: PLC0415
    work = engine.spec.work
    if work.sql is not None:
        from shakedown.load.drivers.sql import SqlDriver

        return SqlDriver(engine, work.sql)
    if work.redis is not None:
        from shakedown.load.drivers.redis import RedisDriver

        return RedisDriver(engine, work.redis)
    if work.tcp is not None:
        from shakedown.load.drivers.tcp import TcpDriver

        return TcpDriver(engine, work.tcp)
    if work.websocket is not None:
        from shakedown.load.drivers.websocket import WebsocketDriver

        return WebsocketDriver(engine, work.websocket)
    if work.python is not None:
        from shakedown.load.drivers.python import PythonDriver

        return PythonDriver(engine, work.python)
    if work.via is not None:
        from shakedown.load.drivers.through_httpx import HttpxDriver

        return HttpxDriver(engine, work.via)
    return HttpDriver(engine)

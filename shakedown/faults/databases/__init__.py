"""Faults of PostgreSQL and Redis, brought about by their own programs inside their containers, or by the proxy before them.

========================  ================================================================
inside                    programs in a container: run once, or kept until they are let go
again                     what is done again and again
psql, redis_cli           the two programs, and where they find their credentials
postgres, redis           what all faults of each have in common
postgres_…, redis_…       one module for each fault
========================  ================================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.databases.postgres_hold_connections import HoldConnectionsFault
from shakedown.faults.databases.postgres_lock import LockFault
from shakedown.faults.databases.postgres_max_connections import MaxConnectionsFault
from shakedown.faults.databases.postgres_settings import ReadOnlyFault, SlowCommitsFault
from shakedown.faults.databases.postgres_slow_queries import SlowQueriesFault
from shakedown.faults.databases.postgres_terminate import TerminateFault
from shakedown.faults.databases.redis_block import BlockFault
from shakedown.faults.databases.redis_failover import FailoverFault
from shakedown.faults.databases.redis_flush import FlushFault
from shakedown.faults.databases.redis_kill_clients import KillClientsFault
from shakedown.faults.databases.redis_memory import EvictFault, MaxmemoryFault
from shakedown.faults.databases.redis_pause import PauseFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "postgres-hold-connections": HoldConnectionsFault,
    "postgres-terminate": TerminateFault,
    "postgres-lock": LockFault,
    "postgres-slow-commits": SlowCommitsFault,
    "postgres-slow-queries": SlowQueriesFault,
    "postgres-read-only": ReadOnlyFault,
    "postgres-max-connections": MaxConnectionsFault,
    "redis-maxmemory": MaxmemoryFault,
    "redis-evict": EvictFault,
    "redis-pause": PauseFault,
    "redis-block": BlockFault,
    "redis-kill-clients": KillClientsFault,
    "redis-flush": FlushFault,
    "redis-failover": FailoverFault,
}

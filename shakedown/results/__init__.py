"""Results: written as they happen, read back for reports.

==========  =====================================================================
tables      SQLModel tables
database    the engine, its settings, migrations
store       writing: records in, rows out, each batch a transaction of its own
queries     reading: rows in, records out
migrations/ Alembic
==========  =====================================================================
"""

from shakedown.results.queries import PROFILE_CUTS, Results, RunInfo, StageInfo
from shakedown.results.store import Store

__all__ = ["PROFILE_CUTS", "Results", "RunInfo", "StageInfo", "Store"]

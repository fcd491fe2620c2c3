"""Raglox: an API over PostgreSQL and Redis.

api        what it answers, and how it refuses
store      PostgreSQL: tasks with their items, reports; two pools, so that what is slow stands in nobody's way
cache      Redis: tasks for a while, and sessions; the first may be missing, the second may not
limits     how often a client may ask
defects    mistakes that can be switched on
"""

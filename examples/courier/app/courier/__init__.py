"""Courier: a small message service with the joints of a real one.

::

    client ─POST /messages─▶ api ─XADD─▶ Redis stream ─▶ worker ─▶ llm-primary, or llm-fallback
                              │                            │
                              └──GET──▶ PostgreSQL ◀───────┴─ one transaction: message, reply, outgoing chat message
                                             └─ outbox ─▶ chat
    recovery: puts back into the stream what a worker took and never finished
"""

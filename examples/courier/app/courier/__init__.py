"""Courier: a small message service with the joints of a real one.

::

    client ─POST /messages─▶ api ─XADD─▶ Redis stream ─▶ worker ─▶ llm-primary, or llm-fallback
                              │ └ typing… ─▶ chat          │
                              └──GET──▶ PostgreSQL ◀───────┴─ one transaction: message, reply, outgoing chat message
                                             └─ outbox ─▶ chat
    recovery: puts back into the stream what a worker took and never finished; checks the books

===========  ======================================================================================================
api          the intake            worker      messages to replies          recovery    what was missed
queue        Redis                 store       PostgreSQL                   llm         providers in a chain
outbox       to the chat service   presence    "is typing"                  vendor      stand-ins for what is outside
breaker      circuit, budget       cache       bounded                      audit       who sent what
http         health, life cycle    metrics     /metrics                     settings    the environment
defects      mistakes that can be switched on
===========  ======================================================================================================
"""

"""aidrive: a dashboard's API over PostgreSQL and Redis, and the chain of services behind it.

api        what the dashboard asks for: statistics, items, an overview with a forecast
forecast   the next in the chain: makes a forecast of what the model says, or of a mean when it says nothing
model      the end of the chain
door       HTTP: connections, and how many requests are let in
breaker    circuit breakers
peer       calls from one service to the next
store      PostgreSQL
cache      Redis, which may be missing
metrics    what an observer sees
defects    mistakes that can be switched on
"""

"""Vigia: what cameras report, their pictures, and who is told of it.

webhook    the server that cameras call: signatures, deliveries that may come twice
api        cameras, events, pictures, messages
service    what both servers have in common: answers in words, health, metrics
store      PostgreSQL: cameras, events, deliveries, shares
messages   who is told what: inboxes, numbered without gaps
pictures   work on pictures, with Pillow, in files
wrong      what cannot be taken, and why
defects    mistakes that can be switched on
"""

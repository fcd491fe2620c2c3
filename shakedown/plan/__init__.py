"""The plan: its schema, its loading, and errors that name file, line and key.

=============  =========================================================================
model          the pydantic models of a whole plan
faults         the models of faults
values         durations, sizes, shares, names
loading        YAML with places, variables, profiles, overrides → Plan
references     what names what: every cross-reference checked
thresholds     the grammar of `send.p95 < 500ms`
checks         the grammar of `status == 202`
secrets        what must never reach a log, database or report
=============  =========================================================================
"""

"""Reports, rendered from the database alone.

========  =====================================================================
model     what a report shows, collected
reasons   why a run or stage ended as it did, each cause once
untested  what was not tested or could not be judged
tables    repetitions gathered into lines, readings thinned out
amounts   numbers in their unit, never without the samples to support them
text      untrusted text, escaped
markdown  report.md, by Jinja templates
brief     what summary.md has beyond report.md: a timeline in Mermaid, sparklines
html      report.html, from that Markdown and the series
page      pages that need nothing else
context   what users' own templates are given
own       reports by users' own templates, in a sandbox
history   a plan's runs over time
history_page  that, on a page
series    what the charts draw
axis      the time axis of every chart: stages, fault windows, recovery points
charts    SVG charts over it
summary   summary.json
junit     junit.xml
writer    all files of a report
whole     files that are there whole or not at all
========  =====================================================================
"""

from shakedown.reports.amounts import amount
from shakedown.reports.markdown import markdown_text
from shakedown.reports.model import reading
from shakedown.reports.own import check_template, own_report, own_text
from shakedown.reports.reasons import tidy
from shakedown.reports.summary import summary_schema, summary_text
from shakedown.reports.text import unlinked
from shakedown.reports.writer import write_report

__all__ = [
    "amount",
    "check_template",
    "markdown_text",
    "own_report",
    "own_text",
    "reading",
    "summary_schema",
    "summary_text",
    "tidy",
    "unlinked",
    "write_report",
]

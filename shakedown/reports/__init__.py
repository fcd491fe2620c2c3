"""Reports, rendered from the database alone.

========  =====================================================================
model     what a report shows, collected
charts    SVG charts over one time axis
markdown  report.md, by Jinja templates
summary   summary.json
writer    all files of a report
========  =====================================================================
"""

from shakedown.reports.writer import write_report

__all__ = ["write_report"]

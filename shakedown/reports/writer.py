"""All files of a report."""
from pathlib import Path
from shakedown.results import Results
def write_report(results: Results, run: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    p=folder/"report.md"; p.write_text("todo"); return p

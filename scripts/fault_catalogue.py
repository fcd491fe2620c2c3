"""Write the catalogue of faults into docs/faults.md, from the code; `--write`, or else say whether the page is as it should be."""

import sys
from collections import Counter
from pathlib import Path

from shakedown.faults.catalogue import Entry, Parameter, catalogue

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"
BEGIN = "<!-- catalogue: written by scripts/fault_catalogue.py -->"
END = "<!-- end of the catalogue -->"
HEAD = """\
| fault | parameters | how | proof of effect | undo |
|---|---|---|---|---|"""
BREAK = "<br>"
OFTEN = 3  # a parameter of as many faults of a family is described once


def render() -> str:
    """The catalogue as Markdown: a table for each family."""
    entries = catalogue()
    lines = [f"{len(entries)} faults. A parameter without a default must be given.", ""]
    for family in dict.fromkeys(entry.family for entry in entries):
        members = [entry for entry in entries if entry.family == family]
        counts = Counter(one for entry in members for one in entry.parameters)
        shared = [one for one, times in counts.items() if times >= OFTEN]
        lines += [f"### {family}", HEAD, *(_row(entry, shared) for entry in members), ""]
        if shared:
            lines += ["Parameters that several of them have:", ""]
            lines += [f"- {_parameter(one)} *({_having(one, members)})*" for one in shared]
            lines.append("")
    return "\n".join(lines).rstrip()


def _row(entry: Entry, shared: list[Parameter]) -> str:
    works = f"{BREAK}*{', '.join(entry.works_on)}*" if entry.works_on else ""
    needs = f"{BREAK}*needs {', '.join(entry.needs)}*" if entry.needs else ""
    cells = [
        f"`{entry.type}`{BREAK}{_cell(entry.what)}{works}",
        _parameters(entry, shared),
        _cell(entry.mechanism) + needs,
        _cell(entry.proof),
        _cell(entry.undo) + (f"{BREAK}*{', '.join(_cell(layer) for layer in entry.layers)}*" if entry.layers else ""),
    ]
    return f"| {' | '.join(cells)} |"


def _parameters(entry: Entry, shared: list[Parameter]) -> str:
    own = [_parameter(one) for one in entry.parameters if one not in shared]
    common = ", ".join(f"`{one.name}`" for one in entry.parameters if one in shared)
    return BREAK.join([*own, *([f"{common}: see below"] if common else [])]) or "–"


def _having(one: Parameter, members: list[Entry]) -> str:
    having = [entry.type.removeprefix(f"{entry.family}-") for entry in members if one in entry.parameters]
    return "all of them" if len(having) == len(members) else ", ".join(having)


def _parameter(one: Parameter) -> str:
    default = f", default {_cell(one.default)}" if one.default not in (None, "none") else ""
    optional = ", optional" if one.default == "none" else ""
    limits = f" {one.limits}" if one.limits else ""
    description = f": {_cell(one.description)}" if one.description else ""
    return f"`{one.name}` {_cell(one.kind)}{limits}{default}{optional}{description}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def updated(page: str) -> str:
    """A page with the catalogue of now between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has lost its marks: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{render()}\n{END}{after}"


def main() -> None:
    """Compare, or write."""
    page = PAGE.read_text(encoding="utf-8")
    new = updated(page)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
    elif new != page:
        raise SystemExit(f"{PAGE} is not what the code says; run {Path(sys.argv[0]).name} --write")


if __name__ == "__main__":
    main()

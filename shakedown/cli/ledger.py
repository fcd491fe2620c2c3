"""`ledger check`: the writes of a run, dead or alive, looked for in the system as it is now."""

import json
import os
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.markup import escape

from shakedown.cli.console import err, out, paint
from shakedown.errors import UsageError
from shakedown.units import format_duration
from shakedown.verdict import Verdict, combine, exit_code

if TYPE_CHECKING:
    from shakedown.plan import LoadedPlan
    from shakedown.plan.ledgers import Ledger
    from shakedown.records.ledger import LedgerResult
    from shakedown.results import Results, RunInfo
    from shakedown.services import Address

__all__ = ["check_ledgers"]

SHOWN = 20
HOW_TO_URL = (
    "say with --url where the system answers now: --url http://127.0.0.1:8000, or --url api=http://127.0.0.1:8000"
)


def check_ledgers(
    run: str, root: Path, *, urls: list[str], only: str | None, plan: Path | None, within: str | None, as_json: bool
) -> None:
    """Read a run's ledgers back and say what became of its writes; ends with the verdict's exit code.

    Nothing is written to the run's results; all faults go into `ledgers/NAME.check.jsonl` of its folder.

    Raises:
        UsageError: there is no such run, ledger or address.
        PlanError: the run's plan cannot be read any more.
    """
    from shakedown.cli.show import find_run
    from shakedown.plan import load_plan
    from shakedown.units import parse_duration

    results, info = find_run(run, root)
    loaded = load_plan(plan or Path(info.plan_path), profile=info.profile, overrides=info.overrides, environ=os.environ)
    if loaded.digest != info.plan_digest:
        err.print("the plan has changed since the run: what it says now is what is read")
    folder = root / "runs" / info.id / "ledgers"
    ledgers = {name: ledger for name, ledger in loaded.plan.ledgers.items() if only in (None, name)}
    if not ledgers:
        known = ", ".join(loaded.plan.ledgers) or "none"
        raise UsageError(f"no such ledger: {only!r}; the plan has {known}" if only else "the plan has no ledger")
    places = {name: _places(loaded, ledger, urls) for name, ledger in ledgers.items()}
    found = []
    for name, ledger in ledgers.items():
        if within is not None:
            ledger = ledger.model_copy(update={"within": parse_duration(within)})  # noqa: PLW2901 - the same, read so
        found.append((_check(results, info, loaded, name, ledger, folder, places[name]), ledger))
    verdicts = [_verdict(result, ledger) for result, ledger in found]
    if as_json:
        told = [
            {**asdict(result), "verdict": str(verdict)} for (result, _), verdict in zip(found, verdicts, strict=True)
        ]
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        for (result, _), verdict in zip(found, verdicts, strict=True):
            _show(result, verdict, folder.parent)
    code = exit_code(combine(verdicts))
    if code:
        sys.exit(int(code))


def _check(
    results: "Results", info: "RunInfo", loaded: "LoadedPlan", name: str, ledger: "Ledger", folder: Path,
    places: "dict[str, Address | None]",
) -> "LedgerResult":  # fmt: skip
    from shakedown.analysis.moments import moment_among
    from shakedown.clock import RunClock
    from shakedown.ledgers.reader import read_back

    records = [one.record for one in results.experiments(info.id)]
    return read_back(
        name, ledger, folder / name, places, RunClock.start(), threading.Event(), moment=moment_among(records),
        redact=loaded.redactor.redact, faults=folder / f"{name}.check.jsonl",
    )  # fmt: skip


def _places(loaded: "LoadedPlan", ledger: "Ledger", urls: list[str]) -> "dict[str, Address | None]":
    """Where each way of reading goes now.

    Raises:
        UsageError: it is not known.
    """
    from shakedown.plan.services import ExternalService
    from shakedown.services import Address

    given = dict(text.partition("=")[::2] if not _is_url(text) else ("", text) for text in urls)
    places: dict[str, Address | None] = {}
    for key, way in ledger.ways.items():
        if way.target is None:
            places[key] = None
            continue
        service_name, _, port = way.target.partition(".")
        service = loaded.plan.services[service_name]
        url = given.get(way.target) or given.get(service_name) or given.get("")
        if url is None and isinstance(service, ExternalService):
            url = service.url
            own = service.ports.get(port)
        else:
            own = None
        if url is None:
            raise UsageError(f"`{service_name}` was the run's own: its address ended with the run", hint=HOW_TO_URL)
        parts = urlsplit(url)
        if not parts.hostname:
            raise UsageError(f"not an address: {url!r}", hint=HOW_TO_URL)
        number = own or parts.port or (443 if parts.scheme == "https" else 80)
        places[key] = Address(parts.hostname, number, parts.scheme)
    return places


def _is_url(text: str) -> bool:
    return "://" in text.partition("=")[0]


def _verdict(result: "LedgerResult", ledger: "Ledger") -> Verdict:
    from shakedown.plan.ledgers import LEDGER_KINDS

    limits = {kind: ledger.limit(kind) for kind in LEDGER_KINDS}
    if any(limit is not None and result.count(kind) > limit for kind, limit in limits.items()):
        return Verdict.FAILED
    return Verdict.INCONCLUSIVE if result.problem else Verdict.PASSED


def _show(result: "LedgerResult", verdict: Verdict, run_dir: Path) -> None:
    from shakedown.plan.ledgers import LEDGER_KINDS

    out.print(
        f"{paint(verdict)}  {escape(result.ledger)}: {result.acknowledged} acknowledged, {result.refused} refused, "
        f"{result.unknown} unknown ({result.unknown_found} of them there); {result.checked} read back in "
        f"{format_duration(result.end - result.start)}"
    )
    wrong = [f"{result.count(kind)} {kind.replace('_', ' ')}" for kind in LEDGER_KINDS if result.count(kind)]
    out.print(f"    {', '.join(wrong) or 'nothing is wrong'}")
    if result.problem:
        out.print(f"    not judged in full: {escape(result.problem)}")
    for fault in result.faults[:SHOWN]:
        sent = f"sent at {fault.sent_at:.2f} s" + (f", {fault.moment}" if fault.moment else "")
        line = replace(fault, key=json.dumps(fault.key, ensure_ascii=False)[1:-1])
        out.print(f"    {fault.kind.replace('_', ' ')}: {escape(line.key)}, {escape(sent)}: {escape(fault.detail)}")
    if result.file:
        out.print(f"    all of them: {escape(str(run_dir / result.file))}")

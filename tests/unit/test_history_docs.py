"""docs/history.md, carried out: every command on the page prints what the page shows, and ends as it says."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shakedown.analysis.figures import FIGURES_VERSION
from shakedown.cli import main
from shakedown.plan import load_plan
from shakedown.records.figures import Figure, FigureName
from shakedown.results import Store
from shakedown.results.tables import RunRow
from shakedown.results.workload import machine_digest, workload_digest
from shakedown.verdict import Verdict
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
PLAN = """\
version: 1
name: shop
services:
  api: {image: "shop:${VERSION:-1}", ports: {http: 80}}
scenarios:
  send:
    executor: {type: constant-arrival-rate, rate: 100, duration: 60s}
    http: {target: api.http, requests: [{name: buy, get: /}]}
stages:
  baseline: {scenarios: [{use: send, rate: 10}]}
  stress: {parallel: [{use: send}]}
"""
MACHINE = {"cpu": "a processor", "cores": "2", "memory": str(2**33), "kernel": "6.1.0", "machine": "x86_64"}
COMMITS = ("3f1c9a77e2", "8d20b4e6f1")
SLOWER = 21


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, int, str]]:
    """Command, exit code and output of each example."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            command, _, comment = line.partition("  # exit code ")
            found.append((command.strip(), int(comment or 0), output))
    return found


def remember(store: Store, plan: str, number: int, rng: np.random.Generator) -> None:
    """One night's run; from the 22nd on it is a fifth slower."""
    slower = 1.2 if number >= SLOWER else 1.0
    run = f"2026-03-{number + 1:02d}-shop"
    store.begin_run(
        RunRow(
            id=run, plan="shop", plan_path="shop.yaml", plan_digest="d", plan_json=plan, status="running", profile="nightly",
            started=datetime(2026, 3, 1, 2, tzinfo=UTC) + timedelta(days=number), workload=workload_digest(plan),
            machine=machine_digest(MACHINE), git_commit=COMMITS[number >= SLOWER] * 4, build="1.1" if number >= SLOWER else "1.0" if number > 14 else "",
            environment=json.dumps(MACHINE), version="0.1.0",
        )
    )  # fmt: skip
    figures = []
    for metric, usual, unit in (("p50", 0.04, "s"), ("p95", 0.11, "s"), ("p99", 0.19, "s")):
        part = slower if metric != "p50" else 1.0
        value = round(usual * part * float(np.exp(rng.normal(0, 0.012))), 5)
        figures.append(Figure(FigureName("stress", "send", metric), unit, value, 6000))
    figures.append(Figure(FigureName("stress", "send", "error_rate"), "%", 0.0, 6000))
    store.put_figures(run, figures, version=FIGURES_VERSION, workload=workload_digest(plan))
    store.end_run(run, status="finished", verdict=Verdict.PASSED, reason="", exit_code=0, at=60.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four weeks of nights."""
    path = tmp_path_factory.mktemp("history")
    (path / "shop.yaml").write_text(PLAN, encoding="utf-8")
    plan = load_plan(path / "shop.yaml", environ={}).resolved
    store = Store.open(path / ".shakedown")
    rng = np.random.default_rng(5)
    for number in range(28):
        remember(store, plan, number, rng)
    store.engine.dispose()
    return path


def shakedown(arguments: str, monkeypatch, capsys) -> tuple[int, str, str]:
    """The command, in this process."""
    monkeypatch.setattr(sys, "argv", ["shakedown", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_every_command_does_what_the_page_shows(folder, monkeypatch, capsys):
    """In the page's order: a command prints the lines behind it; `…` stands for lines that the page leaves out."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    for command, code, output in commands():
        program, _, arguments = command.partition(" ")
        assert program == "shakedown"
        ended, said, told = shakedown(arguments, monkeypatch, capsys)
        assert ended == code, told
        parts = [part.splitlines() for part in re.split(r"^…\n", output, flags=re.MULTILINE)]
        lines = said.splitlines()
        if len(parts) == 1:
            assert lines == parts[0], command
        else:
            assert lines[: len(parts[0])] == parts[0], command
            assert lines[len(lines) - len(parts[-1]) :] == parts[-1], command


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_plan_is_right(tmp_path, text):
    """What the page adds to a plan loads."""
    (tmp_path / "plan.yaml").write_text(PLAN + text, encoding="utf-8")
    assert load_plan(tmp_path / "plan.yaml", environ={}).plan.regression.figures


def test_the_page_has_examples():
    """The examples are found at all."""
    assert len(commands()) >= 6
    assert blocks("yaml")

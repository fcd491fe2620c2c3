"""The rules of regression on real runs: twenty of courier as it is, twenty with every request of its api slowed down, in turn.

`make bench-regression REAL=1` (half an hour), or, with runs that are there already:

    python benchmarks/regression_runs.py --keep DIR --runs 20 --slower 0.2

Groups drawn from the forty runs are compared by the rules that `shakedown compare` and the comparison with earlier runs use.
Writes its table in benchmarks/README.md.
"""  # noqa: INP001

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
from publish import machine, publish

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from shakedown.analysis.regression import compare, look_back  # noqa: E402 - from this very folder's project
from shakedown.records.figures import Change, FigureName  # noqa: E402
from shakedown.results import Results  # noqa: E402

BEGIN, END = "<!-- regression-runs: begin -->", "<!-- regression-runs: end -->"
PLAN = ROOT / "examples" / "courier" / "plan.yaml"
SHAKEDOWN = Path(sys.executable).with_name("shakedown")
BUILDS = ("usual", "slower")
ONLY_LOAD = (
    "stages.baseline=null", "stages.endurance=null", "stages.faults=null", "stages.recovery=null",
    "stages.stress={parallel: [{use: send, rate: 40, duration: 12s}], thresholds: [send.error_rate < 1%]}",
)  # fmt: skip
FIGURES = (FigureName("stress", "send", "p50"), FigureName("stress", "send", "p95"))
DRAWS = 400


def run_both(root: Path, runs: int, slower: float) -> None:
    """Both builds in turn, A B B A, so that slow changes of the machine meet both alike."""
    command = [str(SHAKEDOWN), "compare", str(PLAN), "--root", str(root), "--runs", str(runs), "--allow-inconclusive"]
    for name, value in zip(BUILDS, (0.0, slower), strict=True):
        command += ["--build", f"{name}=services.api.environment.COURIER_SLOWER={value}"]
    for setting in ONLY_LOAD:
        command += ["--set", setting]
    code = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode  # noqa: S603 - ours
    if code not in (0, 1):
        sys.exit(f"the runs ended with exit code {code}")


def values_of(results: Results, build: str, figure: FigureName) -> np.ndarray:
    """A figure of each run of a build, in their order; runs in which it was not measured soundly are left out."""
    runs = sorted(results.runs_of(build=build), key=lambda run: run.started)
    found = [one for run in runs for one in results.figures(run.id) if one.name == figure]
    return np.array([one.sound for one in found if one.sound is not None])


def between(rng: np.random.Generator, figure: FigureName, a: np.ndarray, b: np.ndarray, count: int) -> float:
    """How often a comparison of so many runs a side, drawn from two groups, says that the second regressed."""
    alike = a is b
    said = 0
    for _ in range(DRAWS):
        if alike:
            drawn = rng.choice(a, 2 * count, replace=False)
            sides = (drawn[:count], drawn[count:])
        else:
            sides = (rng.choice(a, count, replace=False), rng.choice(b, count, replace=False))
        said += compare({figure: sides})[figure].change is Change.REGRESSED
    return said / DRAWS


def after(
    rng: np.random.Generator, figure: FigureName, before: np.ndarray, new: np.ndarray, count: int, wanted: Change
) -> float:
    """How often new runs, one or three, are called `wanted` beside a history of twelve."""
    said = 0
    for _ in range(DRAWS):
        history = rng.choice(before, 12 + (count if new is before else 0), replace=False)
        drawn = history[12:] if new is before else rng.choice(new, count, replace=False)
        said += look_back({figure: [*history[:12], *drawn]})[figure].change is wanted
    return said / DRAWS


def table(results: Results, slower: float, seed: int) -> list[str]:
    """What the runs were like, and what the rules say of them."""
    rng = np.random.default_rng(seed)
    lines = ["| figure | build | runs | median | scatter between runs (sd of logs) |", "|---|---|---:|---:|---:|"]
    groups = {figure: [values_of(results, build, figure) for build in BUILDS] for figure in FIGURES}
    for figure, values in groups.items():
        for build, group in zip(BUILDS, values, strict=True):
            if group.size < 10:
                sys.exit(f"{figure} was measured soundly in {group.size} runs of {build}: too few")
            lines.append(
                f"| {figure} | {build} | {group.size} | {np.median(group) * 1000:.2f} ms | {np.log(group).std(ddof=1):.1%} |"
            )
    lines += [
        "",
        f"Slowed down by {slower:.0%} of the time that the api itself takes. Shares of {DRAWS} draws from these runs, equal / slower:",
        "",
        "| figure | all runs of both | 5 runs a side | 8 runs a side | one new run: suspect | three new runs: regressed |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for figure, (usual, slow) in groups.items():
        whole = compare({figure: (usual, slow)})[figure]
        cells = [
            f"{between(rng, figure, usual, usual, n):.3f} / {between(rng, figure, usual, slow, n):.2f}" for n in (5, 8)
        ]
        cells += [
            f"{after(rng, figure, usual, usual, n, wanted):.3f} / {after(rng, figure, usual, slow, n, wanted):.2f}"
            for n, wanted in ((1, Change.SUSPECT), (3, Change.REGRESSED))
        ]
        shift = f" by {whole.shift:+.1%}" if whole.shift is not None else ""
        lines.append(f"| {figure} | {whole.change}{shift} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run, draw and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="of each build")
    parser.add_argument("--slower", type=float, default=0.2, help="by this share of the api's own time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where the runs stay; when they are there, nothing is run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regression-") as folder:
        root = (options.keep or Path(folder)).resolve()
        busy = psutil.cpu_percent(interval=2) / 100
        if not (root / "shakedown.db").exists():
            run_both(root, options.runs, options.slower)
        text = "\n".join([machine(busy), "", *table(Results.open(root), options.slower, options.seed)])
    sys.stdout.write(text + "\n")
    publish(BEGIN, END, text)


if __name__ == "__main__":
    main()

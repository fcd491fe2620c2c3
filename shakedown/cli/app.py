"""The commands and their options. Every command imports what it needs itself, so that `--help` is quick."""

import io
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from shakedown import __version__
from shakedown.errors import ExitCode, ShakedownError

__all__ = ["app", "main"]

app = typer.Typer(
    name="shakedown",
    help="Take a service through baseline, stress, endurance, faults and recovery, and say with evidence whether it holds.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 passed, 1 failed, 2 usage or plan error, 3 inconclusive, 4 could not run, 130 interrupted.",
)

PlanArgument = Annotated[Path, typer.Argument(help="The plan, a YAML file.", show_default=False)]
Profile = Annotated[str | None, typer.Option("--profile", "-p", help="One of the plan's profiles, such as smoke.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change the plan: stages.stress.parallel.0.rate=50. May be repeated.")
]
Root = Annotated[Path, typer.Option("--root", envvar="SHAKEDOWN_ROOT", help="The folder for results.")]
RunName = Annotated[str, typer.Argument(help="A run, the beginning of its name, or `last`.")]
ROOT = Path(".shakedown")
BROKEN_PIPE = 141


def _version(value: bool) -> None:  # noqa: FBT001 - typer's callback
    if value:
        typer.echo(f"shakedown {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
def run(
    plan: PlanArgument,
    profile: Profile = None,
    set_: Overrides = None,
    root: Root = ROOT,
    seed: Annotated[int | None, typer.Option(help="Makes schedules and data repeatable.")] = None,
    allow_inconclusive: Annotated[bool, typer.Option("--allow-inconclusive", help="End with 0 instead of 3.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's own log as well.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done, and how it would be undone.")
    ] = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write junit.xml to this file.")] = None,
    summary: Annotated[
        Path | None,
        typer.Option("--summary", help="Also write summary.md, for the summary of a CI step, to this file."),
    ] = None,
    template: Annotated[
        list[Path] | None,
        typer.Option(help="Also render this Jinja template into the report's folder. May be repeated."),
    ] = None,
    build: Annotated[str, typer.Option(help="A name for what is tested, such as a version; `compare` takes it.")] = "",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="While a figure is suspect, run again: three runs at most.")
    ] = False,
) -> None:
    """Run a plan and print the verdict."""
    if confirm and not dry_run:
        from shakedown.cli.repeat import run_until_confirmed

        run_until_confirmed(sys.argv[1:], root)
    if dry_run:
        from shakedown.cli.dry_run import show_dry_run

        show_dry_run(plan, profile, set_ or [], seed)
        return
    from shakedown.cli.run import run_plan

    copies = {name: path for name, path in (("junit.xml", junit), ("summary.md", summary)) if path is not None}
    run_plan(
        plan,
        profile,
        set_ or [],
        root,
        seed,
        allow_inconclusive=allow_inconclusive,
        verbose=verbose,
        build=build,
        copies=copies,
        templates=template or [],
    )


@app.command()
def validate(plan: PlanArgument, profile: Profile = None, set_: Overrides = None) -> None:
    """Find every error in a plan that can be known before anything starts."""
    from shakedown.cli.show import validate_plan

    validate_plan(plan, profile, set_ or [])


@app.command()
def runs(root: Root = ROOT, limit: Annotated[int, typer.Option(help="How many.", min=1)] = 20) -> None:
    """List runs, the newest first."""
    from shakedown.cli.show import list_runs

    list_runs(root, limit)


@app.command()
def report(
    run: RunName = "last",
    root: Root = ROOT,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to write to; by default the run's own.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print summary.json instead; writes files only with --out.")
    ] = False,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Print the report itself, for reading; writes files only with --out.")
    ] = False,
    template: Annotated[
        Path | None,
        typer.Option(help="Print what this Jinja template makes of the run; with --out, write it into that folder."),
    ] = None,
) -> None:
    """Render a run's report again, from the database, and print where it is. Ends with 0 whatever the run's verdict."""
    from shakedown.cli.show import render

    render(run, root, out, as_json=json, in_terminal=terminal, template=template)


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Two groups of runs, each a run, several with commas between them, build:NAME or commit:ID; "
            "with --build, a plan.",
            show_default=False,
        ),
    ],
    build: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=KEY=VALUE: run the plan with two builds in turn. A KEY with a dot changes the plan, "
            "any other is a variable of it. May be repeated."
        ),
    ] = None,
    times: Annotated[int, typer.Option("--runs", help="With --build: how many runs of each.")] = 5,
    profile: Profile = None,
    set_: Overrides = None,
    figure: Annotated[
        list[str] | None, typer.Option(help="Only these figures, such as 'stress.*.p95'. May be repeated.")
    ] = None,
    effect: Annotated[str | None, typer.Option(help="The least change that matters, instead of 5%.")] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also across machines, profiles and plans.")] = False,
    allow_inconclusive: Annotated[bool, typer.Option("--allow-inconclusive", help="End with 0 instead of 3.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    root: Root = ROOT,
) -> None:
    """Compare two groups of runs. Ends with 1 for a regression, 3 when something could not be told, else 0."""
    if build:
        from shakedown.cli.builds import compare_builds

        compare_builds(
            runs, build, root, runs=times, profile=profile, overrides=set_ or [], figures=figure or [], as_json=as_json,
            allow_inconclusive=allow_inconclusive,
        )  # fmt: skip
    from shakedown.cli.compare import compare_runs

    compare_runs(
        runs, root, figures=figure or [], effect=effect, anyway=anyway, as_json=as_json,
        allow_inconclusive=allow_inconclusive,
    )  # fmt: skip


@app.command()
def trend(
    plan: Annotated[str, typer.Argument(help="A plan's name, or its file.")],
    figure: Annotated[
        str | None, typer.Argument(help="Such as stress.send.p95; without one, the figures are listed.")
    ] = None,
    profile: Profile = None,
    limit: Annotated[int, typer.Option(help="How many runs.", min=1, max=1000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    root: Root = ROOT,
) -> None:
    """Show a figure over a plan's comparable runs, with verdicts and changes of level. Ends with 0 whatever it shows."""
    from shakedown.cli.trend import show_trend

    show_trend(plan, figure, root, profile=profile, limit=limit, as_json=as_json)


@app.command()
def history(
    plan: Annotated[
        str | None, typer.Option(help="A plan's name, or its file; by default that of the newest run.")
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write a page that needs nothing else, and print where it is.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --html: the file; by default in the results' folder.")
    ] = None,
    profile: Profile = None,
    limit: Annotated[int, typer.Option(help="How many runs a figure is shown over.", min=1, max=1000)] = 100,
    root: Root = ROOT,
) -> None:
    """Show all runs of a plan, and every figure over them, with verdicts and changes of level. Ends with 0 whatever it shows."""
    from shakedown.cli.history import show_history

    show_history(plan, root, profile=profile, limit=limit, as_page=html, output=output)


@app.command()
def prune(
    keep: Annotated[str | None, typer.Option(help="Keep runs that began within this time: 90d.")] = None,
    keep_last: Annotated[
        int | None, typer.Option("--keep-last", help="Keep so many of each plan and profile, however old.", min=0)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="SQLite: write the file anew, so that it gets smaller.")
    ] = False,
    root: Root = ROOT,
) -> None:
    """Remove old runs from the database, and their folders. What either option keeps stays; so do runs that go on."""
    from shakedown.cli.prune import prune as prune_

    prune_(root, keep, keep_last, dry_run=dry_run, vacuum=vacuum)


@app.command()
def export(
    run: RunName = "last",
    root: Root = ROOT,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file (.gz: compressed); of csv and parquet, a folder.")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="jsonl, which `import` reads; csv; parquet.")] = "jsonl",
) -> None:
    """Write everything that is known of a run to a file, and print its name."""
    from shakedown.cli.export import export as export_

    export_(run, root, out, kind)


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="What `export` wrote.", show_default=False)], root: Root = ROOT
) -> None:
    """Read exported runs into the database; one that is there already is refused."""
    from shakedown.cli.export import import_ as import__

    import__(files, root)


@app.command()
def cleanup(root: Root = ROOT, run: Annotated[str | None, typer.Option(help="Only this run.")] = None) -> None:
    """Take back what runs left behind that died: faults, containers, networks, processes."""
    from shakedown.cli.machine import clean_up

    clean_up(root, run)


@app.command()
def doctor(root: Root = ROOT) -> None:
    """Say what this machine can and cannot do, and what each lack means."""
    from shakedown.cli.machine import examine

    examine(root)


@app.command()
def calibrate(
    root: Root = ROOT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure what this machine's load generator can do; later runs near that are warned about."""
    from shakedown.cli.calibrate import calibrate_machine

    calibrate_machine(root, as_json=as_json)


@app.command()
def proxy(
    listen: Annotated[str, typer.Option(help="Where it listens: 127.0.0.1:8081.")],
    to: Annotated[str, typer.Option(help="Where connections are handed on to: host:port.")],
    fault: Annotated[
        list[str] | None, typer.Option(help="As in a plan: '{type: network-latency, latency: 200ms}'. May be repeated.")
    ] = None,
    for_: Annotated[str, typer.Option("--for", help="How long it stands: 30s, 5m, 1h.")] = "1h",
    seed: Annotated[int, typer.Option(help="Of what the faults do at random.")] = 0,
) -> None:
    """Stand before a service and disturb the connections to it."""
    from shakedown.cli.proxy import run_proxy

    run_proxy(listen, to, fault or [], for_, seed)


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Where Prefect's server listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.", min=1, max=65535)] = 4200,
    root: Root = ROOT,
) -> None:
    """Bring up Prefect's server, deployments and a worker, and print the address, until Ctrl-C.

    The deployments are those of this folder's prefect.yaml, or else one for each plan in it and one that takes any.
    """
    from shakedown.cli.ui import serve_ui

    serve_ui(host, port, root, Path())


@app.command()
def watch(
    container: Annotated[list[str] | None, typer.Option(help="A container, by name or id. May be repeated.")] = None,
    pid: Annotated[list[int] | None, typer.Option(help="A process with its children. May be repeated.")] = None,
    prometheus: Annotated[
        list[str] | None, typer.Option(help="'http://127.0.0.1:8000/metrics queue_depth,jobs_total'. May be repeated.")
    ] = None,
    probe: Annotated[
        list[str] | None,
        typer.Option(help="'backlog={redis: LLEN jobs, url: redis://127.0.0.1:6379}', as in a plan. May be repeated."),
    ] = None,
    every: Annotated[str, typer.Option(help="From look to look.")] = "1s",
    for_: Annotated[str | None, typer.Option("--for", help="How long; by default until Ctrl-C.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each look, also on a terminal.")] = False,
) -> None:
    """Sample a running system as a run would, live; it is only looked at."""
    from shakedown.cli.watch import watch_system

    watch_system(container or [], pid or [], prometheus or [], probe or [], every=every, limit=for_, as_json=as_json)


@app.command()
def schema(
    summary: Annotated[
        bool, typer.Option("--summary", help="Of summary.json instead, for programs that read it.")
    ] = False,
) -> None:
    """Print the JSON Schema of plans, for editors."""
    from shakedown.cli.show import print_schema

    print_schema(of_summary=summary)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("shakedown.yaml"),
    openapi: Annotated[Path | None, typer.Option(help="From an OpenAPI 3 document (JSON or YAML).")] = None,
    har: Annotated[Path | None, typer.Option(help="From a browser's recording (HAR).")] = None,
    curl: Annotated[list[str] | None, typer.Option(help="From a curl command, quoted. May be repeated.")] = None,
    compose: Annotated[Path | None, typer.Option(help="From a Compose file, or the folder that it is in.")] = None,
    url: Annotated[str | None, typer.Option(help="The service's address, instead of the source's.")] = None,
    only: Annotated[
        str | None, typer.Option(help="Only what this regular expression finds: GET /path, name, tag.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Of a recording: this host; by default the most frequent.")] = None,
    limit: Annotated[int, typer.Option(help="Most requests to write.", min=1, max=1000)] = 100,
    static: Annotated[bool, typer.Option("--static", help="Of a recording: scripts and pictures too.")] = False,
    all_methods: Annotated[bool, typer.Option("--all-methods", help="Write DELETE requests, not as comments.")] = False,
    allow: Annotated[bool, typer.Option("--allow", help="Allow load on a host that is not this machine.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a plan to begin with: plain, or from what is there already."""
    from shakedown.cli.init import write_first_plan
    from shakedown.imports import ImportOptions

    options = ImportOptions(
        url=url, only=only, host=host, all_methods=all_methods, static=static, allow=allow, limit=limit
    )
    write_first_plan(path, openapi=openapi, har=har, curl=curl or [], compose=compose, options=options, force=force)


ledger_app = typer.Typer(help="What became of a run's writes.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ledger_app, name="ledger")


@ledger_app.callback()
def _ledger() -> None:
    """What became of a run's writes."""


@ledger_app.command(
    epilog="Exit codes: 0 every ledger holds, 1 one does not, 2 usage or plan error, 3 one could not be read in full."
)
def check(
    run: RunName = "last",
    root: Root = ROOT,
    url: Annotated[
        list[str] | None,
        typer.Option(help="Where the system answers now: http://127.0.0.1:8000, or SERVICE=URL. May be repeated."),
    ] = None,
    ledger: Annotated[str | None, typer.Option(help="Only this ledger.")] = None,
    plan: Annotated[Path | None, typer.Option(help="The plan, if it is not where it was.")] = None,
    within: Annotated[
        str | None, typer.Option(help="How long what is missing may take to come, instead of the plan's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Read a run's ledgers back from the system as it is now; also those of a run that was killed."""
    from shakedown.cli.ledger import check_ledgers

    check_ledgers(run, root, urls=url or [], only=ledger, plan=plan, within=within, as_json=as_json)


def main() -> None:
    """The entry point: a mistake of the user's never shows a traceback, and nothing but a verdict ends with 0, 1 or 3."""
    for stream in (sys.stdout, sys.stderr):  # what a terminal's encoding lacks is shown as its escape
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        if end.code == int(ExitCode.FAILED) and _reader_is_gone():
            sys.exit(BROKEN_PIPE)
        raise
    except ShakedownError as error:
        from shakedown.cli.console import fail

        fail(error)
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.INTERRUPTED))
    except BrokenPipeError:  # the reader of our output went away: the exit code that a shell gives to SIGPIPE
        _give_up_output()
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        _give_up_output()
        sys.stderr.write(f"error: {error}\nhint: if this is the output itself, free some space where it goes\n")
        sys.exit(int(ExitCode.COULD_NOT_RUN))
    except Exception:  # noqa: BLE001 - ours, and told whole; Python's own exit code for it would say `failed`
        traceback.print_exc()
        sys.exit(int(ExitCode.COULD_NOT_RUN))


def _reader_is_gone() -> bool:
    """Whether a library ended us with 1 for a closed pipe, which would read as the verdict `failed`."""
    console = sys.modules.get("shakedown.cli.console")
    return type(sys.stdout).__name__ == "PacifyFlushWrapper" or (console is not None and console.out.quiet)


def _give_up_output() -> None:
    """What is still buffered goes nowhere, or Python's own last flush would fail once more and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

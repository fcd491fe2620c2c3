"""`init`: a plan to begin with, plain or made from a Compose file, an OpenAPI document, a recording or a curl command."""

import os
from collections.abc import Callable
from pathlib import Path

from rich.markup import escape

from shakedown.cli.console import err, out
from shakedown.errors import PlanError, ShakedownError, UsageError
from shakedown.imports import Draft, ImportOptions, import_compose, import_curl, import_har, import_openapi, write_plan
from shakedown.plan import load_plan, starter_plan

__all__ = ["write_first_plan"]

_NOT_HERE = "which is not on this machine"


def write_first_plan(
    path: Path, *, openapi: Path | None, har: Path | None, curl: list[str], compose: Path | None = None,
    options: ImportOptions, force: bool,
) -> None:  # fmt: skip
    """Write a plan; a file that is there stays as it is unless `force` is given.

    Raises:
        UsageError: the options do not go together, the source cannot be read, or the file cannot be written.
    """
    _check_options(openapi=openapi, har=har, curl=curl, compose=compose, options=options)
    draft: Draft | None = None
    if openapi is not None:
        draft = import_openapi(openapi, options)
    elif har is not None:
        draft = import_har(har, options)
    elif curl:
        draft = import_curl(curl, options, Path.cwd())
    if compose is not None:
        text = import_compose(compose, path, os.environ)
    else:
        text = starter_plan() if draft is None else write_plan(draft, allow=options.allow)
    _write(path, text, force=force, check=_check_plan)
    out.print(f"{escape(str(path))} written; next: shakedown validate {escape(str(path))}")
    if draft is not None:
        _say(draft)


def _check_options(
    *, openapi: Path | None, har: Path | None, curl: list[str], compose: Path | None, options: ImportOptions
) -> None:
    given_sources = (("--openapi", openapi), ("--har", har), ("--curl", curl), ("--compose", compose))
    sources = [name for name, given in given_sources if given]
    if len(sources) > 1:
        raise UsageError(f"{' and '.join(sources)} do not go together", hint="write a plan from one source at a time")
    source = sources[0] if sources else "the plan without a source"
    fits = {
        "--only": (options.only is not None, ("--openapi", "--har")),
        "--host": (options.host is not None, ("--har",)),
        "--static": (options.static, ("--har",)),
        "--all-methods": (options.all_methods, ("--openapi", "--har")),
        "--url": (options.url is not None, ("--openapi", "--har", "--curl")),
        "--allow": (options.allow, ("--openapi", "--har", "--curl")),
    }
    for name, (given, allowed) in fits.items():
        if given and source not in allowed:
            raise UsageError(f"{name} does not fit {source}; it goes with {', '.join(allowed)}")


def _check_plan(path: Path) -> None:
    """What is written must load; only the user can say that load on another machine is allowed.

    Raises:
        ShakedownError: it does not load, which is our mistake.
    """
    try:
        load_plan(path, environ={})
    except PlanError as error:
        others = [problem for problem in error.problems if _NOT_HERE not in problem.message]
        if others:
            raise ShakedownError(
                f"the plan made of this source would not be valid: {others[0].message} ({others[0].key})",
                hint="this is a mistake of Shakedown's; leave the request out with --only, and report it",
            ) from None


def _write(path: Path, text: str, *, force: bool, check: Callable[[Path], None]) -> None:
    """Write the whole file or nothing: first beside it, then under its name."""
    taken = UsageError(f"{path} is there already", hint="name another file, or overwrite it with --force")
    beside = path.with_name(f".{path.name[:50]}.{os.getpid()}.new")
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder", hint="name a file")
        if os.path.lexists(path) and not force:
            raise taken
        with beside.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        check(beside)
        if force:
            beside.replace(path)
        else:
            _link(beside, path)
    except FileExistsError:
        raise taken from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _link(beside: Path, path: Path) -> None:
    """Give the file its name, unless another has it by now."""
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(beside.read_text(encoding="utf-8"))


def _say(draft: Draft) -> None:
    """On standard error: what is in the plan, and what the user has to do."""
    off = sum(request.off is not None for request in draft.requests)
    err.print(f"{len(draft.requests) - off} requests to {escape(draft.url)}" + (f", {off} as comments" if off else ""))
    for why, count in draft.skipped.items():
        err.print(f"left out: {count} {escape(why)}")
    if draft.variables:
        err.print(f"set before a run: {escape(', '.join(draft.variables))}")

"""Users' own templates: Jinja in a sandbox, given plain data, with every mistake told by file and line."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateNotFound, meta, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shakedown.errors import ReportError, UsageError
from shakedown.reports import amounts, text
from shakedown.reports.charts import draw_charts
from shakedown.reports.context import TemplateContext, context_of
from shakedown.reports.html import as_image
from shakedown.reports.markdown import render_brief, render_markdown
from shakedown.reports.model import Report, collect
from shakedown.reports.whole import write_whole
from shakedown.results import Results
from shakedown.units import format_size
from shakedown.verdict import Verdict

__all__ = ["FILTERS", "FUNCTIONS", "check_template", "own_report", "own_text", "render_own"]

ENDINGS = (".j2", ".jinja", ".jinja2")
ESCAPED = (".html", ".htm", ".xhtml", ".xml", ".svg")  # where `<` of an answer must not become an element
WHERE = "docs/reports.md lists the names, filters and functions of templates"


def _size(value: float | None) -> str:
    return amounts.NONE if value is None else format_size(value)


def _mark(verdict: str | None) -> str:
    return amounts.verdict(Verdict(verdict) if verdict in set(Verdict) else None, str(verdict or "not ended"))


FILTERS: dict[str, Callable[..., object]] = {
    "md": text.escape, "code": text.code, "sentence": text.sentence, "fenced": text.fenced, "duration": amounts.seconds,
    "at": amounts.at, "share": amounts.share, "size": _size, "amount": amounts.amount, "change": amounts.change,
    "mark": _mark,
}  # fmt: skip
_MISSING = re.compile(r"'dict object' has no attribute '(.*)'")
FUNCTIONS = ("chart", "report_md", "summary_md")


def check_template(path: Path) -> None:
    """Find what can be known before there is a run: whether it is there, is Jinja, and uses only names that there are.

    Raises:
        UsageError: it is wrong, with file and line.
    """
    environment = _environment(path)
    source = _source(path)
    try:
        tree = environment.parse(source, path.name, str(path))
        environment.compile(source, path.name, str(path))
    except TemplateSyntaxError as error:
        raise _mistake(path, error) from error
    known = {*TemplateContext.model_fields, *FUNCTIONS, *environment.globals}
    for name in sorted(meta.find_undeclared_variables(tree) - known):
        line = next((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), 1)
        raise UsageError(f"{path}:{line}: there is no `{name}` for templates", hint=WHERE)


def render_own(report: Report, path: Path) -> str:
    """A report by a user's template.

    Raises:
        UsageError: the template is wrong, with file and line.
    """
    environment = _environment(path)
    values: Mapping[str, Any] = {
        **context_of(report),
        "chart": _Charts(report),
        "report_md": lambda: render_markdown(report, {}),
        "summary_md": lambda: render_brief(report),
    }
    _source(path)
    try:
        template: Template = environment.get_template(path.name)
        return template.render(values)
    except Exception as error:  # whatever a template brings about is told by its file and line
        raise _mistake(path, error) from error


def own_report(results: Results, run: str, path: Path, folder: Path) -> Path:
    """Write a run's report by a user's template into a folder, under the template's name without `.j2`; its path.

    Raises:
        ReportError: it cannot be written.
        StoreError: the results cannot be read.
        UsageError: there is no such run, or the template is wrong.
    """
    rendered = own_text(results, run, path)
    written = folder / own_name(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(written, rendered.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ReportError(f"{written} cannot be written: {error.strerror or error}") from error
    return written


def own_text(results: Results, run: str, path: Path) -> str:
    """A run's report by a user's template.

    Raises:
        StoreError: the results cannot be read.
        UsageError: there is no such run, or the template is wrong.
    """
    check_template(path)
    return render_own(collect(results, run), path)


def own_name(path: Path) -> str:
    """The name of what a template makes: its own without `.j2`, never that of a file which every report has."""
    name = path.name.removesuffix(next((end for end in ENDINGS if path.name.endswith(end)), ""))
    taken = ("report.md", "report.html", "summary.md", "summary.json", "junit.xml")
    return f"own-{name}" if name in taken else name


def _environment(path: Path) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(path.absolute().parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=_escaped, finalize=lambda value: "" if value is None else value,
    )  # fmt: skip
    environment.filters.update(FILTERS)
    return environment


def _escaped(name: str | None) -> bool:
    plain = name or ""
    for end in ENDINGS:
        plain = plain.removesuffix(end)
    return plain.lower().endswith(ESCAPED)


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise UsageError(f"the template {path} cannot be read: {reason}") from error


def _mistake(path: Path, error: BaseException) -> UsageError:
    """Any failure as a sentence with the place in the template."""
    file, line = _place(path, error)
    words = (str(error).splitlines() or [""])[0]
    if isinstance(error, TemplateNotFound):
        words = f"there is no template `{error.name}` in {path.absolute().parent}"
    elif isinstance(error, UndefinedError) and (missing := _MISSING.fullmatch(words)):
        words = f"there is no `{missing[1]}` here"
    elif isinstance(error, SecurityError):
        words = f"a template may not do this: {words}"
    elif not isinstance(error, TemplateError):
        words = f"{type(error).__name__}: {words}"
    hint = WHERE if isinstance(error, UndefinedError | SecurityError) or "No filter" in words else None
    return UsageError(f"{file}{f':{line}' if line else ''}: {words}", hint=hint)


def _place(path: Path, error: BaseException) -> tuple[str, int | None]:
    """File and line: of a mistake in the writing the parser says it, of any other the innermost line of a template."""
    if isinstance(error, TemplateSyntaxError):
        return _shown(path, error.filename or str(path)), error.lineno
    found = list(_lines(error.__traceback__))
    return (_shown(path, found[-1][0]), found[-1][1]) if found else (str(path), None)


def _lines(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    """The places in templates that an exception came through: Jinja puts frames of its own making in for them."""
    while trace is not None:
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _shown(path: Path, file: str) -> str:
    """A template's file as the user wrote it; another one beside it as such."""
    return str(path) if Path(file).name == path.name else str(path.with_name(Path(file).name))


class _Charts:
    """`chart("latency")`: a chart as the address of an image, drawn when it is first asked for; empty when there is none."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._drawn: dict[str, str] | None = None

    def __call__(self, name: str) -> str:
        if self._drawn is None:
            with TemporaryDirectory() as folder:
                files = draw_charts(self._report, Path(folder))
                self._drawn = {key: as_image(Path(folder) / file) for key, file in files.items()}
        return self._drawn.get(name, "")

"""Users' own templates: the names that are documented are those that there are, and every mistake has its place."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from shakedown.errors import ReportError, UsageError
from shakedown.plan import load_plan
from shakedown.reports.context import CONTEXT_VERSION, TemplateContext, context_of
from shakedown.reports.model import collect
from shakedown.reports.own import FILTERS, FUNCTIONS, check_template, own_name, own_report, own_text
from shakedown.session import RunOptions, Session
from tests.conftest import ROOT
from tests.unit.reports.scenes import SCENES

PAGE = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def rows(heading: str) -> list[tuple[list[str], list[str]]]:
    """The code in the first and in the second column of each row below a heading."""
    part = PAGE.split(f"### {heading}\n")[1].split("\n###")[0]
    cells = [line.strip("|").split("|", 1) for line in part.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", first), re.findall(r"`(\w+)`", second)) for first, second in cells]


def parts(model: type[BaseModel]) -> dict[str, set[str]]:
    """The fields of a model, each with the fields of what it lists."""
    found = {}
    for name, field in model.model_fields.items():
        inner = next((one for one in get_args(field.annotation) if isinstance(one, type)), None)
        found[name] = set(inner.model_fields) if inner is not None and issubclass(inner, BaseModel) else set()
    return found


def write(folder: Path, text: str, name: str = "own.md.j2") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_name_is_documented():
    """The page lists all names of the context, and of lists all names of what is in them, and no others."""
    documented = rows("Names")
    known = parts(TemplateContext)
    assert sorted(name for names, _ in documented for name in names) == sorted(known)
    for names, said in documented:
        if known[names[0]]:
            assert known[names[0]] <= set(said), names[0]
            foreign = set(said) - known[names[0]] - {"findings", "where", "verdict", "reason"}
            assert not foreign, names[0]
    assert f"`context_version` is {CONTEXT_VERSION}" in PAGE


def test_every_filter_and_function_is_documented():
    """The page lists all filters and functions."""
    documented = {re.match(r"\w+", name)[0] for names, _ in rows("Filters and functions") for name in names}
    assert documented == {*FILTERS, *FUNCTIONS}


@pytest.mark.parametrize("scene", SCENES)
def test_the_context_is_plain_data(results, scene):
    """Whatever the run: the names are those of the model, and nothing in it but data, so that nothing can be called."""

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in (str, int, float, bool)

    context = context_of(collect(results, scene))
    assert set(context) == set(TemplateContext.model_fields)
    assert plain(context)
    hidden = {name for names in parts(TemplateContext).values() for name in names} & set(dir({}))
    assert not hidden  # `item.keys` would be the method and not the value


@pytest.mark.parametrize("scene", SCENES)
def test_the_example_works(results, tmp_path, scene):
    """The page's template renders every kind of run."""
    text = own_text(results, scene, write(tmp_path, blocks("jinja")[0], "slack.md.j2"))
    run = results.run(scene)
    assert (str(run.verdict) if run.verdict else "not ended") in text
    assert "<script>" not in text.replace("\\<script\\>", "")


def test_a_plan_names_its_templates(tmp_path):
    """What the page adds to a plan loads when the template is there, and is told with file and line when it is not."""
    head = "version: 1\nname: t\nservices: {}\nstages: {baseline: {suites: [s]}}\nsuites: {s: {command: [ls]}}\n"
    plan = write(tmp_path, head + blocks("yaml")[0], "plan.yaml")
    with pytest.raises(
        Exception, match=r"plan\.yaml:7:\d+: report\.templates\.0: no such file or folder: mail\.html\.j2"
    ):
        load_plan(plan, environ={})
    write(tmp_path, "x", "mail.html.j2")
    assert load_plan(plan, environ={}).plan.report.templates == ["mail.html.j2"]


def test_no_run_begins_with_a_wrong_template(tmp_path):
    """A mistake in a plan's template ends a run before anything is started or written."""
    write(tmp_path, "\n{{ verdikt }}", "mail.html.j2")
    head = "version: 1\nname: t\nservices: {}\nstages: {baseline: {suites: [s]}}\nsuites: {s: {command: [ls]}}\n"
    plan = write(tmp_path, head + blocks("yaml")[0], "plan.yaml")
    with pytest.raises(UsageError, match=r"mail\.html\.j2:2: there is no `verdikt`"):
        Session.open(RunOptions(plan, root=tmp_path / "root"))
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{% for x in %}\n", r"own\.md\.j2:2: Expected an expression"),
        ("a\nb\n{{ nothing }}", r"own\.md\.j2:3: there is no `nothing` for templates"),
        ("\n{{ 1|foo }}", r"own\.md\.j2:2: No filter named 'foo'"),
        ("{% if plan %}", r"own\.md\.j2:1: Unexpected end of template"),
    ],
)
def test_mistakes_that_need_no_run(tmp_path, text, said):
    """What is no Jinja, and names that nobody gives, are found without any run."""
    with pytest.raises(UsageError, match=said):
        check_template(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{{ stages[0].nope }}", r"own\.md\.j2:2: there is no `nope` here"),
        ("\n\n{{ 1 / 0 }}", r"own\.md\.j2:3: ZeroDivisionError: division by zero"),
        ("\n{% include 'deep.md' %}", r"deep\.md:3: TypeError"),
        ("{% include 'gone.md' %}", r"own\.md\.j2:1: there is no template `gone\.md` in "),
        ("{% include '../secret.md' %}", r"own\.md\.j2:1: there is no template `\.\./secret\.md`"),
        ("{{ chart.__class__ }}", r"own\.md\.j2:1: a template may not do this"),
        ("{{ report_md.__globals__ }}", r"own\.md\.j2:1: a template may not do this"),
        ("{{ ''.__class__.__mro__ }}", r"own\.md\.j2:1: a template may not do this"),
        ("\n{{ stages.append(1) }}", r"own\.md\.j2:2: a template may not do this"),
        ("{{ 'x'|duration }}", r"own\.md\.j2:1: \w+Error"),
    ],
)
def test_mistakes_that_show_with_a_run(results, tmp_path, text, said):
    """Whatever a template brings about is told in one line with the innermost place in a template, never by a traceback."""
    (tmp_path / "secret.md").write_text("secret")
    folder = tmp_path / "templates"
    folder.mkdir()
    write(folder, "x\n\n{{ 'a' + 1 }}", "deep.md")
    with pytest.raises(UsageError, match=said) as error:
        own_text(results, "passed", write(folder, text))
    assert "\n" not in error.value.message
    assert "secret" not in str(error.value).replace("../secret.md", "")


@pytest.mark.parametrize("name", ["own.html", "own.html.j2", "own.xml.jinja", "own.HTM"])
def test_html_is_escaped(results, tmp_path, name):
    """In a template for HTML or XML no name or answer makes an element."""
    text = own_text(results, "failed", write(tmp_path, "{{ plan }}{{ findings[0].evidence[0] }}", name))
    assert "&lt;script&gt;" in text
    assert "<" not in text


def test_charts_are_images(results, tmp_path):
    """A chart is drawn into the page itself; one that there is not is empty."""
    text = own_text(results, "passed", write(tmp_path, "{{ chart('latency') }} {{ chart('own') }}.", "own.html"))
    assert re.fullmatch(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]{1000,} \.", text)


def test_where_it_is_written(results, tmp_path):
    """Into the folder, under the template's name without `.j2`; never over a file that every report has."""
    template = write(tmp_path, "{{ run }}", "weekly.txt.j2")
    assert own_report(results, "passed", template, tmp_path / "out").read_text() == "passed"
    assert (tmp_path / "out" / "weekly.txt").exists()
    assert own_name(Path("report.md.j2")) == "own-report.md"
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="cannot be written"):
        own_report(results, "passed", template, tmp_path / "file")


def test_a_template_that_cannot_be_read(tmp_path):
    """A file that is not there, and one that is no text, are told."""
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        check_template(tmp_path / "gone.j2")
    (tmp_path / "own.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read: it is not UTF-8"):
        check_template(tmp_path / "own.j2")

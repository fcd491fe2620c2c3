"""Recorded text arrives literally: through YAML, variables and templates, to the very bytes."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.imports.draft import Draft, DraftRequest
from shakedown.imports.parts import clean_headers, plan_headers, plan_path, set_body
from shakedown.imports.text import PlanText, comment, compose, jinja_string, literal, slug, template, unique
from shakedown.imports.vault import Vault
from shakedown.imports.writer import write_plan
from shakedown.plan import load_plan
from shakedown.plan.scenarios import Request
from shakedown.plan.templates import environment, is_constant

# Letters that YAML, variables, templates or HTTP give a meaning, often enough to stand beside each other.
SPECIAL = st.sampled_from([
    "$", "$$", "${", "}", "${A}", "${A:-b}", "{", "{{", "{%", "{#", "}}", "%}", "#}", "{{ x }}", "{% raw %}", "'", '"', "\\",
    "\r", "\n", "\r\n", "\t", " ", "  ", ":", ": ", " #", "- ", "? ", "<<", "&a", "*a", "!!int 1", "|", ">", "%", "@", "`",
    "\x85", "\u2028", "\u2029", "\ufeff", "\x00", "\x7f", "é", "\U0001f600", "null", "true", "~", "0123", "1e3", "=", "---",
])  # fmt: skip
TEXT = st.lists(st.one_of(SPECIAL, st.text(st.characters(exclude_categories=["Cs"]), max_size=4)), max_size=8).map(
    "".join
)


def render(text: str) -> str:
    """As the load workers do it."""
    return text if is_constant(text) else environment().from_string(text).render()


def render_tree(value: object) -> object:
    if isinstance(value, str):
        return render(value)
    if isinstance(value, dict):
        return {key: render_tree(item) for key, item in value.items()}
    return [render_tree(item) for item in value] if isinstance(value, list) else value


def loaded(folder, *requests: DraftRequest, **settings) -> list[Request]:
    """The requests of a draft, written and read again."""
    draft = Draft("t", "a test", "http://127.0.0.1:1", "s", "sequence", list(requests), **settings)
    path = folder / "plan.yaml"
    path.write_text(write_plan(draft, allow=False), encoding="utf-8")
    return load_plan(path, environ={}).plan.scenarios["s"].http.requests


def sent(request: Request) -> str:
    """The body of a loaded request as it goes out."""
    if request.json_ is not None:
        return json.dumps(render_tree(request.json_))
    return render(request.body or "")


@given(text=TEXT, other=TEXT)
def test_any_text_renders_to_itself(tmp_path_factory, text, other):
    """Headers, raw bodies and forms render to exactly what was recorded."""
    text_of_one_line = re.sub("[\r\n\0]", " ", text)  # a header field has no more
    one = {"X-One": literal(text_of_one_line)}
    request = DraftRequest("r", "post", PlanText("/"), one, "form", {"a": literal(other)})
    raw = DraftRequest("q", "post", PlanText("/"), {}, "body", literal(text))
    first, second = loaded(tmp_path_factory.getbasetemp(), request, raw)
    assert render(first.headers["X-One"]) == text_of_one_line
    assert first.form is not None
    assert render(first.form["a"]) == other
    assert render(second.body or "") == text


@given(before=TEXT, after=TEXT)
def test_pieces_around_an_expression_stay_themselves(tmp_path_factory, before, after):
    """What is recorded and what is meant can stand in one text."""
    text = compose(before, template("1 + 1"), after)
    (request,) = loaded(tmp_path_factory.getbasetemp(), DraftRequest("r", "post", PlanText("/"), {}, "body", text))
    assert render(request.body or "") == f"{before}2{after}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(value=JSON, ascii_only=st.booleans())
def test_any_json_body_arrives_as_the_same_data(tmp_path_factory, value, ascii_only):
    """A JSON body is sent as the same data, whether it could be written as `json` or only as `body`."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    request = DraftRequest("r", "post", PlanText("/"))
    vault = Vault()
    set_body(request, text, vault, "application/json")
    (found,) = loaded(tmp_path_factory.getbasetemp(), request)
    if not vault.variables:  # a key that happens to be called `key`
        assert json.loads(sent(found)) == value


@given(
    text=TEXT,
    kind=st.sampled_from(["text/plain", "application/json", "application/x-www-form-urlencoded", "x/y;z", ""]),
)
def test_no_body_of_any_kind_breaks_the_plan(tmp_path_factory, text, kind):
    """A body that is not what its type says is sent letter for letter."""
    request = DraftRequest("r", "post", PlanText("/"))
    vault = Vault()
    set_body(request, text, vault, kind)
    (found,) = loaded(tmp_path_factory.getbasetemp(), request)
    if request.kind == "body" and not vault.variables:
        assert sent(found) == text


@given(target=TEXT)
def test_any_path_is_one_line_of_ascii_and_keeps_its_letters(tmp_path_factory, target):
    """A path is escaped where a request line needs it, and nowhere else."""
    request = DraftRequest("r", "get", plan_path("/" + target, Vault()))
    (found,) = loaded(tmp_path_factory.getbasetemp(), request)
    path = render(found.path)
    assert path.isascii()
    assert path.isprintable()
    assert " " not in path
    plain = target.split("#", 1)[0]
    if plain.isascii() and plain.isprintable() and " " not in plain and "=" not in plain:
        assert path == "/" + plain


@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_no_header_breaks_the_plan_or_out_of_its_line(tmp_path_factory, pairs):
    """Whatever is recorded as a header, no line break reaches the request."""
    request = DraftRequest("r", "get", PlanText("/"), plan_headers(clean_headers(pairs), Vault()))
    (found,) = loaded(tmp_path_factory.getbasetemp(), request)
    for name, value in found.headers.items():
        assert not set("\r\n\0") & set(name + render(value))


@given(note=TEXT, name=TEXT)
def test_no_comment_or_name_gets_out_of_its_place(tmp_path_factory, note, name):
    """Comments and names made of any text change nothing of the plan."""
    request = DraftRequest(slug(name, "get"), "get", PlanText("/"), notes=[note])
    off = DraftRequest("off", "delete", literal("/" + name), off=note)
    found = loaded(tmp_path_factory.getbasetemp(), request, off, notes=[note], skipped={note: 1}, health="/h")
    assert [one.path for one in found] == ["/"]


@given(text=TEXT)
def test_a_text_inside_an_expression_is_itself(text):
    """A literal inside an expression gives the text."""
    assert environment().from_string(template(f"choice({jinja_string(text)})").replace("$$", "$")).render(
        choice=lambda one: one
    ) == text  # fmt: skip


def test_names_are_unique_and_of_the_plans_form():
    """Names that would be alike get numbers, also at the greatest length."""
    taken: set[str] = set()
    names = [unique(slug(text, "get"), taken) for text in ("a b", "a/b", "1", "", "x" * 100, "x" * 99, "ünï")]
    assert names == ["a-b", "a-b-2", "get-1", "get", "x" * 64, "x" * 62 + "-2", "n"]


def test_half_characters_are_replaced_and_said(tmp_path):
    """A surrogate, which no plan can hold, becomes U+FFFD in a raw body, and the plan says so."""
    request = DraftRequest("r", "post", PlanText("/"))
    set_body(request, "a\ud800b", Vault(), "text/plain")
    assert "halves of characters" in request.notes[0]
    assert sent(loaded(tmp_path, request)[0]) == "a\ufffdb"


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '{"n": 0.12345678901234567890123}', '{"n": 1e999}', "[" * 3000, '{"{{k}}": 1}', "null", '"\\ud800"',
     '{"n": 123456789012345678901234567890}', '{"n": NaN}'],
)  # fmt: skip
def test_json_that_data_cannot_hold_is_sent_letter_for_letter(tmp_path, text):
    """Double keys, long numbers, template syntax in keys: kept as `body`."""
    request = DraftRequest("r", "post", PlanText("/"))
    set_body(request, text, Vault(), "application/json")
    (found,) = loaded(tmp_path, request)
    assert found.body is not None
    assert sent(found) == text
    assert found.headers == {"Content-Type": "application/json"}


def test_comments_are_one_printable_line():
    """Line breaks of any kind and controls vanish; long ones are cut."""
    assert comment("a\r\nb\u2028c\x85d\x00e\ufefff") == "a b c def"
    assert len(comment("x" * 500)) == 110


@pytest.mark.parametrize(("mode", "count"), [("sequence", 1), ("sequence", 3), ("sequence", 100), ("weighted", 3)])
def test_a_first_plan_measures_enough_to_judge(tmp_path, mode, count):
    """Also the shortest stage of the shortest profile makes the 59 samples that a p95 needs."""
    requests = [DraftRequest(f"r{number}", "get", PlanText("/")) for number in range(count)]
    path = tmp_path / "plan.yaml"
    path.write_text(write_plan(Draft("t", "a test", "http://127.0.0.1:1", "s", mode, requests), allow=False))
    stage = load_plan(path, profile="smoke", environ={}).plan.stages.baseline
    assert stage is not None
    (use,) = stage.scenarios
    assert use.rate is not None
    assert use.duration is not None
    assert use.rate * use.duration * (count if mode == "sequence" else 1) >= 59

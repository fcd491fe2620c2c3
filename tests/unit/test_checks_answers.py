"""Checks and extractions: what each form says of an answer, and what is refused when a plan is read."""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.plan.checks import compile_checks, parse_check
from shakedown.plan.extracts import compile_path, parse_source, split_path

DOCUMENT = {
    "items": [{"id": 1, "ok": True}, {"id": 2, "ok": False}, {"id": 3, "ok": True}],
    "name": "a b",
    "n": 5,
    "none": None,
}


@dataclass
class Answer:
    """An answer to look at."""

    status: int = 200
    body: bytes = json.dumps(DOCUMENT).encode()
    headers: dict[str, str] = field(default_factory=lambda: {"location": "/items/42", "etag": "x"})
    latency: float = 0.01
    size: int = 0
    cookies: tuple[str, ...] = ("session=abc; Path=/", "other=1", "session=last")
    truncated: bool = False


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        ("$.items[*].id exists", True), ("$.items[*].id > 0", True), ("$.items[*].ok == true", False),
        ("$.items[?@.ok == true].id in [1, 3]", True), ("$.items[?@.id > 1].id in [1, 3]", False), ("$.nothing == 1", False),
        ("$.nothing != 1", False), ("$['name'] == \"a b\"", True), ("$.items[-1].id == 3", True),
        ("count $.items[*] == 3", True), ("count $.items[?@.ok].id > 2", True), ("count $.items[?@.ok == true] == 2", True),
        ("count json.items == 3", True), ("count json.n == 5", False), ("count $.none[*] == 0", True),
        ("not json.items exists", False), ("not json.error exists", True), ("not status in 500..599", True),
        ('not body contains "a b"', False), ('not body contains "fatal"', True), ('not header.etag == "y"', True),
        ('json.name matches "^a"', True), ('json.name matches "^b"', False), ('cookie.session == "last"', True),
        ("cookie.gone exists", False), ("status in [200, 201]", True), ("status in 300..399", False),
        ('header.location matches "/items/\\\\d+"', True), ("json.none == null", True), ("latency < 20ms", True), ("size < 1kB", True),
    ],
)  # fmt: skip
def test_what_each_form_says(check, holds):
    """Paths that find several values hold for all of them, and for at least one; `not` turns a check round."""
    assert parse_check(check).holds(Answer()) is holds


@pytest.mark.parametrize(
    "check", ["not json.error exists", "not json.a == 1", "not $.a exists", "json.a exists", "count $.a == 0"]
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b'{"a": '])
def test_what_cannot_be_read_holds_neither_way(check, body):
    """A body that is no JSON passes no check of its contents, denied or not."""
    assert parse_check(check).holds(Answer(body=body)) is False


def test_a_body_that_was_not_kept_denies_nothing():
    """Of a truncated body, what it contains can be said, what it does not contain cannot; its size is known."""
    answer = Answer(body=b"abc", size=5_000_000, truncated=True)
    assert parse_check('body contains "abc"').holds(answer)
    assert not parse_check('not body contains "x"').holds(answer)
    assert parse_check("not size < 1MB").holds(answer)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$.a[ == 1", "does not end"), ("$.a[!] == 1", "not a JSONPath"), ("$.a", "not a check"), ("count $.a == 1.5", "whole number"),
        ("not not status == 200", "one `not` is enough"), ("json matches gone.json", "no schema can be given"), ("json.a ~ 1", "not a check"),
        ('json.a matches "("', "not a regular expression"), ("not", "not a check"),
        ("{{ row.what }}", "whatever its template gives"), ("status = {{ row.a }}", "whatever its template gives"),
    ],
)  # fmt: skip
def test_what_is_no_check_is_said_at_once(text, said):
    """Errors of the grammar are found when the plan is read, with the reason."""
    with pytest.raises(ValueError, match=said):
        compile_checks([text])


def test_a_schema_is_compiled_once_and_fetches_nothing(tmp_path):
    """Documents are checked against a file's schema; a schema that is none, or points elsewhere, is refused."""
    schema = {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"$ref": "#/$defs/small"}},
        "$defs": {"small": {"maximum": 9}},
    }
    (tmp_path / "s.json").write_text(json.dumps(schema))
    checks = compile_checks(["json matches s.json", "not json matches s.json"][:1], tmp_path)
    (tmp_path / "s.json").unlink()
    assert checks.failed(Answer()) is None
    assert checks.failed(Answer(body=b'{"n": 10}')) == checks.failed(Answer(body=b"no")) == "json matches s.json"
    for wrong, said in [
        ({"type": 5}, "is none"),
        ({"$ref": "http://127.0.0.1:1/x"}, "not in it"),
        ({"$ref": "#/$defs/x"}, "not in it"),
    ]:
        (tmp_path / "w.json").write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=said):
            compile_checks(["json matches w.json"], tmp_path)
    with pytest.raises(ValueError, match="cannot be read"):
        compile_checks(["json matches gone.json"], tmp_path)


def test_a_row_says_what_it_expects():
    """Templates in checks are rendered for each answer; the rest stays as quick as ever."""
    checks = compile_checks(["status == {{ row.expected }}", "json.name == {{ row.name | tojson }}", "status < 500"])
    names = {"row": {"expected": 422, "name": 'q"uote'}}
    answer = Answer(status=422, body=json.dumps({"name": 'q"uote'}).encode())
    assert checks.failed(answer, names) is None
    assert checks.failed(Answer(status=200), names) == "status == 422"
    assert (checks.needs_body, checks.of_head_alone, len(checks.checks)) == (True, False, 1)
    assert compile_checks(["status == 200"]).of_head_alone


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("json.items.1.id", 2), ("$.items[-1].id", 3), ("$.items[?@.ok == false].id", 2), ("header.location", "/items/42"),
        (r"header.location ~ /items/(\d+)", "42"), ("cookie.session", "last"), ("json.none", None), ("json.gone", None),
        ("header.gone", None), ("cookie.gone", None), (r'body ~ "name": "([^"]+)"', "a b"), ("body ~ zzz", None),
        ("body ~ a b", "a b"), (r"$.name ~ (\w)$", "b"), ("json", DOCUMENT),
    ],
)  # fmt: skip
def test_where_values_are_taken_from(source, value):
    """Each form of a source finds its value, or nothing; null is nothing."""
    assert parse_source(source).find(Answer()) == value


@pytest.mark.parametrize("text", ["", "body", "nowhere.x", "json. a", "$.a[", "$.a x", "header.", "body ~ (", "status"])
def test_what_is_no_source_is_refused(text):
    """A source that could never give a value is refused when the plan is read."""
    with pytest.raises(ValueError):
        parse_source(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2), max_leaves=8))  # fmt: skip
def test_dotted_paths_and_jsonpaths_agree(document):
    """`json.a.0` finds what `$.a[0]` finds."""
    assert compile_path("json.a.0")(document) == compile_path("$.a[0]")(document) or (
        isinstance(document, dict) and isinstance(document.get("a"), dict)
    )


@given(st.text(alphabet="$.[]()'\"\\ a=1", max_size=20))
def test_a_path_is_split_or_refused(text):
    """No text breaks the search for a path's end."""
    try:
        path, rest = split_path("$" + text)
    except ValueError:
        return
    assert path.startswith("$")
    assert rest in text

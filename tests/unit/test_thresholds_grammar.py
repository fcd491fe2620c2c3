"""The text of thresholds: what is understood, and what is refused with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.plan.thresholds import (
    AllOf,
    AnyOf,
    Comparison,
    EachRequest,
    ThresholdError,
    Windowed,
    parse_threshold,
)

LEAVES = st.sampled_from(
    ["a.p95 < 1s", "a.one.p99.9 <= 250ms", "a{kind:read}.rate > 4.5/s", "a.error_rate < 5%", "a.dropped == 0", "a.p(50) < 1m30s",
     "a.p95 < 1.5 * baseline + 20ms", "a.start_lag.p50 < 5ms", "api.memory.growth < 20%", "a.count >= 1e3"])  # fmt: skip
WINDOWS = st.sampled_from(["over", "within", "for"])


def shape(node) -> object:
    """A tree without its columns."""
    if isinstance(node, Comparison):
        return node.text
    if isinstance(node, AllOf | AnyOf):
        return (type(node).__name__, *map(shape, node.parts))
    if isinstance(node, Windowed):
        return (node.kind, node.seconds, shape(node.inner))
    return ("each", shape(node.inner))


@st.composite
def trees(draw, depth=3):
    """A text with every join in brackets, and the shape that it must have."""
    kind = draw(st.sampled_from(["leaf", "leaf", "window", "and", "or"])) if depth else "leaf"
    if kind == "leaf":
        text = draw(LEAVES)
        return text, text
    if kind == "window":
        leaf, word, seconds = draw(LEAVES), draw(WINDOWS), draw(st.integers(1, 90))
        return f"({leaf} {word} {seconds}s)", (word, seconds, leaf)
    parts = draw(st.lists(trees(depth=depth - 1), min_size=2, max_size=3))
    name = "AllOf" if kind == "and" else "AnyOf"
    return "(" + f" {kind} ".join(text for text, _ in parts) + ")", (name, *(part for _, part in parts))


@given(trees())
def test_a_tree_is_read_as_it_was_written(tree):
    """Brackets, joins and windows come back as the tree that was rendered."""
    text, wanted = tree
    assert shape(parse_threshold(text).expression) == wanted


@given(trees(), st.lists(st.sampled_from([" ", "  ", "\n  ", "\t"]), min_size=1))
def test_blanks_mean_nothing(tree, blanks):
    """However a text is folded over lines, it is the same threshold."""
    text, wanted = tree
    parts = text.split(" ")
    folded = "".join(part + blanks[index % len(blanks)] for index, part in enumerate(parts))
    found = parse_threshold(folded)
    assert shape(found.expression) == wanted
    assert found.text == text


def test_and_binds_tighter_than_or():
    """`a or b and c` is `a or (b and c)`."""
    found = parse_threshold("a.rate > 1 or a.rate > 2 and a.rate > 3 or a.rate > 4").expression
    assert shape(found) == ("AnyOf", "a.rate > 1", ("AllOf", "a.rate > 2", "a.rate > 3"), "a.rate > 4")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a.*.p95 < 1s", ("each", "a.*.p95 < 1s")),
        ("a.p95 < 1s for all requests", ("each", "a.p95 < 1s")),
        ("a.*.p95 < 1s for all requests", ("each", "a.*.p95 < 1s")),
        ("a.p95 < 1s over 10s for all requests", ("each", ("over", 10, "a.p95 < 1s"))),
        ("a.p95 < 1s for all requests for 2m", ("each", ("for", 120, "a.p95 < 1s"))),
        ("a.*.p95 < 1s within 1m30s", ("each", ("within", 90, "a.*.p95 < 1s"))),
        ("(a.p95 < 1s or a.rate > 5) for all requests", ("each", ("AnyOf", "a.p95 < 1s", "a.rate > 5"))),
    ],
)
def test_each_request(text, wanted):
    """`.*` and `for all requests` are the same, whatever stands first."""
    assert shape(parse_threshold(text).expression) == wanted


@pytest.mark.parametrize(
    ("text", "delay"), [("a.p95 < 1s", None), ("a.p95 < 1s abort", 0.0), ("a.p95 < 1s over 5s abort after 1m30s", 90.0)]
)
def test_abort(text, delay):
    """`abort` belongs to the whole threshold, and may wait."""
    assert parse_threshold(text).abort == delay


@pytest.mark.parametrize(
    ("value", "factor", "offset"),
    [
        ("1.5 * baseline", 1.5, 0),
        ("baseline", 1, 0),
        ("baseline * 2", 2, 0),
        ("1.5*baseline+20ms", 1.5, 0.02),
        ("3 * baseline - 1s", 3, -1),
    ],
)
def test_relative_limits(value, factor, offset):
    """A factor of the baseline, and what is added to the product."""
    found = parse_threshold(f"a.p95 < {value}").first
    assert (found.factor, found.limit, found.unit) == (factor, pytest.approx(offset), "s")


def test_tags():
    """Tags stand behind the load or its request; values may be quoted."""
    found = parse_threshold("a.one{kind:read, tier:'very gold'}.p95 < 1s").first
    assert (found.subject, found.request, found.metric) == ("a", "one", "p95")
    assert found.tags == (("kind", "read"), ("tier", "very gold"))
    assert parse_threshold("a{kind:read}.p95 < 1s").first.request is None


@pytest.mark.parametrize("name", ["p95", "p99", "over", "and", "abort", "for-all", "baseline"])
def test_names_that_look_like_words_of_the_grammar(name):
    """A request or load may be called like a metric or a keyword."""
    assert parse_threshold(f"a.{name}.avg < 1s and {name}.rate > 1").first.request == name


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a.p95 = 1s", 7, "an operator is expected"),
        ("a.p95 <> 1s", 7, "an operator is expected"),
        ("a.p95 < 1s ovr 10s", 12, "did you mean `over`?"),
        ("a.p95 < 1s withn 10s", 12, "did you mean `within`?"),
        ("a.p95 < 1s && a.rate > 1", 12, "did you mean `and`?"),
        ("a.p95 < 1s || a.rate > 1", 12, "did you mean `or`?"),
        ("a.p95 < 1s over", 16, "after `over` stands a duration"),
        ("a.p95 < 1s over soon", 17, "after `over` stands a duration"),
        ("a.p95 < 1s over 0s", 17, "one or more whole seconds"),
        ("a.p95 < 1s over 2d", 17, "at most 1d"),
        ("a.p95 < 1s over 10s over 5s", 21, "a window within a window"),
        ("(a.p95 < 1s over 10s and a.rate > 1) over 5s", 38, "a window within a window"),
        ("(a.p95 < 1s and b.rate > 1) over 5s", 1, "is of one subject, not of a and b"),
        ("a.p95 < 1s and b.rate > 1 over 5s", 27, "behind the last comparison alone"),
        ("a.p95 < 1s or a.rate > 1 for all requests", 26, "behind the last comparison alone"),
        ("a.p95 < 1s for all", 19, "after `for all` stands `requests`"),
        ("(a.*.p95 < 1s and a.rate > 1) for all requests", 1, "by itself already"),
        ("a.one.p95 < 1s for all requests", 1, "`one` is one request"),
        ("(a.p95 < 1s", 12, "the bracket is not closed"),
        ("a.p95 < 1s)", 11, "unexpected `)`"),
        ("(a.p95 < 1s abort)", 13, "at the end of the whole threshold"),
        ("a.p95 < 1s abort after", 23, "after `after` stands a duration"),
        ("a.p95 < 1s abort over 5s", 18, "here may stand the end"),
        ("a.p95 < 1s and", 15, "a name is expected"),
        ("a.p95 <", 8, "a value is expected"),
        ("p95 < 1s", 4, "a metric is expected"),
        ("a.*.*.p95 < 1s", 1, "`*` stands for the requests"),
        ("*.p95 < 1s", 1, "`*` stands for the requests"),
        ("a{kind}.p95 < 1s", 2, "not a tag: 'kind'"),
        ("a{kind:a,kind:b}.p95 < 1s", 2, "the tag `kind` stands twice"),
        ("a{kind:a.p95 < 1s", 2, "the tags' bracket is not closed"),
        ("a{k:a}.one{k:a}.p95 < 1s", 11, "tags stand once"),
        ("a.p95{kind:a} < 1s", 14, "before the metric"),
        ("a.p95 < 1 * 2 * baseline", 9, "not a limit relative to the baseline"),
        ("a.p95 < 0 * baseline", 9, "a factor of the baseline lies above 0"),
        ("a.p95 < 2 * baseline * 2", 9, "not a limit relative to the baseline"),
        ("a.p95 < baseline + 5%", 9, "compared with a duration"),
        ("a.p95 < 2 * basline", 9, "did you mean `baseline`?"),
        ("a.p95 < fast", 9, "compared with a duration"),
        ("a.b.c.p95 < 1s", 1, "too many dots"),
        ("(" * 30 + "a.p95 < 1s" + ")" * 30, 21, "brackets nest at most 20 deep"),
    ],
)
def test_a_mistake_says_what_and_where(text, column, words):
    """Every mistake names what is wrong and the column in the text."""
    with pytest.raises(ThresholdError) as caught:
        parse_threshold(text)
    assert words in str(caught.value)
    assert caught.value.column == column
    assert str(caught.value).endswith(f"(column {column})")


ALPHABET = st.sampled_from(
    ["a", ".", "p95", "*", "{k:v}", " ", "<", ">=", "1s", "5%", "and", "or", "(", ")", "over", "for", "all requests", "within",
     "10s", "abort", "after", "baseline", "1.5 *", "+", "error_rate", "start_lag", "max"])  # fmt: skip


@given(st.lists(ALPHABET, max_size=14).map(" ".join) | st.lists(ALPHABET, max_size=14).map("".join))
def test_any_words_of_the_grammar_are_a_threshold_or_an_error(text):
    """Whatever order its words come in, the parser ends, with a threshold or a ThresholdError inside the text."""
    try:
        parse_threshold(text)
    except ThresholdError as error:
        assert 1 <= error.column <= len(text) + 1


def test_what_an_or_leaves_unjudged():
    """Only what every branch speaks of is judged for certain."""
    assert parse_threshold("a.p95 < 1s and b.p95 < 1s").judges() == {"a", "b"}
    assert parse_threshold("a.p95 < 1s or b.p95 < 1s").judges() == set()
    assert parse_threshold("a.rate > 1 or (a.p95 < 1s and b.p95 < 1s)").judges() == {"a"}


def test_each_request_wraps_its_window():
    """Each request is judged in its own windows."""
    found = parse_threshold("a.*.p95 < 1s for 5s").expression
    assert isinstance(found, EachRequest)
    assert isinstance(found.inner, Windowed)

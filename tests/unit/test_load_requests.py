"""Requests, rows, cookies and redirects, without a network."""

import base64
import math
import re
import statistics
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.errors import LoadError, PlanError
from shakedown.load.context import Context, Stream, read_rows, shuffled
from shakedown.load.http.connection import BODY_LIMIT, HttpAnswer
from shakedown.load.http.cookies import MOST, Jar
from shakedown.load.http.decoding import decode
from shakedown.load.http.redirects import Origin, Redirected, Route
from shakedown.load.http.requests import prepare
from shakedown.load.recorder import Recorder
from shakedown.load.spec import LoadSpec, Target
from shakedown.plan import load_plan
from shakedown.plan.requests import Redirects
from shakedown.plan.scenarios import Scenario
from shakedown.plan.secrets import scenario_secrets
from shakedown.plan.templates import environment


def spec(
    *requests: dict, seed: int = 7, workers: int = 1, data: dict | None = None, base: str = ".", **http
) -> LoadSpec:
    executor = {"type": "constant-arrival-rate", "rate": 10, "duration": 1}
    wanted = {"target": "a.http", "requests": list(requests) or [{"name": "r", "get": "/"}], **http}
    return LoadSpec(
        label="l", scenario="s", stage="x", duration=1.0, seed=seed, ledger_dir="/none", origin=0.0, workers=workers, base=base,
        work=Scenario.model_validate({"executor": executor, "http": wanted, **({"data": data} if data else {})}),
        target=Target(host="h", port=80),
    )  # fmt: skip


def rendered(text: str, seed: int = 7, shard: int = 0, workers: int = 1, iterations: int = 1) -> list[str]:
    context = Context(spec(seed=seed, workers=workers), shard, [])
    template = environment().from_string(text)
    return [template.render(context.names(number, 0)) for number in range(iterations)]


DRAWN = "{{ uuid() }} {{ randint(1, 9) }} {{ choice('a', 'b') }} {{ uniform(0, 1) }} {{ gauss(5, 1) }} {{ random_string(8) }} {{ text(5, 50) }}"


def test_data_follows_from_seed_and_iteration_alone():
    """The same iteration draws the same, in whatever worker and after whatever others."""
    alone = rendered(DRAWN, iterations=20)
    assert rendered(DRAWN, shard=1, workers=3, iterations=20) == alone
    assert rendered(DRAWN, seed=8, iterations=20) != alone
    assert len(set(alone)) == 20
    context = Context(spec(), 0, [])
    context.names(5, 0)
    later = environment().from_string(DRAWN).render(context.names(19, 0))
    assert later == alone[19]


def test_requests_of_one_iteration_draw_apart():
    """The steps of a sequence do not repeat each other's values, whenever they come."""
    context = Context(spec(), 0, [])
    values = [context.start(3, part).getrandbits(64) for part in (0, 1, 2, 1)]
    assert values[1] == values[3]
    assert len(set(values)) == 3


def test_texts_have_log_normal_lengths():
    """Between the limits, with the geometric mean for a median and a long tail above it."""
    lengths = [len(text) for text in rendered("{{ text(10, 1000) }}", iterations=2000)]
    assert min(lengths) >= 10
    assert max(lengths) <= 1000
    assert statistics.median(lengths) == pytest.approx(100, rel=0.1)
    assert statistics.mean(lengths) > 1.3 * statistics.median(lengths)
    logs = [math.log(length) for length in lengths]
    assert statistics.stdev(logs) == pytest.approx((math.log(1000) - math.log(10)) / 4, rel=0.2)


@given(st.integers(1, 300), st.integers(0, 3000))
def test_texts_stay_within_their_limits(shortest, more):
    """Whatever the limits, no text is shorter or longer, or loses its ends to trimming."""
    (text,) = rendered(f"{{{{ text({shortest}, {shortest + more}) }}}}")
    assert shortest <= len(text) <= shortest + more
    assert text == text.strip()


@pytest.mark.parametrize(
    "call", ["text(5, 2)", "text(0, 2)", "random_string(-1)", "random_string(10 ** 9)", "text(1, 10 ** 9)"]
)
def test_impossible_texts_are_refused(call):
    """Limits that cannot be kept raise at once, and no gigabyte is made."""
    with pytest.raises(ValueError):
        rendered(f"{{{{ {call} }}}}")


def test_uuids_are_of_version_4():
    """Random, of the right variant, and all different."""
    import uuid

    found = rendered("{{ uuid() }}", iterations=500)
    assert len(set(found)) == 500
    assert {(uuid.UUID(text).version, uuid.UUID(text).variant, str(uuid.UUID(text)) == text) for text in found} == {
        (4, uuid.RFC_4122, True)
    }


def test_jinjas_own_functions_are_there():
    """Loops, ranges and joiners work in requests as they do in any template."""
    job = spec(
        {"name": "r", "post": "/", "body": "{% for i in range(3) %}{{ i }}{{ '-' if not loop.last }}{% endfor %}"}
    )
    data, _ = prepare(job, Recorder("l"))[0].render(Context(job, 0, []).names(0, 0))
    assert data.endswith(b"0-1-2")


def test_digests_and_codes_are_the_usual_ones():
    """As functions and as filters, over text and numbers."""
    (found,) = rendered("{{ base64('a:b') }} {{ 'a' | sha256 }} {{ md5(5) }} {{ hmac_sha256('m', 'k') }}")
    import hashlib
    import hmac

    wanted = [base64.b64encode(b"a:b").decode(), hashlib.sha256(b"a").hexdigest(), hashlib.md5(b"5", usedforsecurity=False).hexdigest(),
              hmac.new(b"k", b"m", "sha256").hexdigest()]  # fmt: skip
    assert found.split() == wanted


def test_cheap_random_numbers_are_even():
    """The stream fills its range: mean, spread and every face of a die."""
    draw = Stream(1)
    values = [draw.random() for _ in range(20_000)]
    assert statistics.mean(values) == pytest.approx(0.5, abs=0.01)
    assert statistics.variance(values) == pytest.approx(1 / 12, rel=0.03)
    faces = [draw.randint(1, 6) for _ in range(6000)]
    assert all(850 < faces.count(face) < 1150 for face in range(1, 7))
    firsts = []
    for start in range(2000):
        draw.restart(start)
        firsts.append(draw.random())
    assert statistics.mean(firsts) == pytest.approx(0.5, abs=0.03)
    assert draw.getrandbits(0) == 0
    assert draw.getrandbits(100) < 1 << 100


ROWS = [{"n": number} for number in range(10)]


@pytest.mark.parametrize("order", ["sequential", "shuffled", "random", "unique"])
def test_rows_over_workers(order):
    """Two workers share the rows as one would: iterations or users, none gets another's."""
    data = {"file": "x", "order": order}

    def row(context, iteration, vu):
        return context.names(iteration, vu)["row"]["n"]

    one = Context(spec(data=data), 0, ROWS)
    two = [Context(spec(data=data, workers=2), shard, ROWS) for shard in (0, 1)]
    if order == "unique":
        assert sorted(row(two[user % 2], 0, user // 2) for user in range(10)) == list(range(10))
        assert [row(one, iteration, 3) for iteration in range(5)] == [3] * 5
        with pytest.raises(LoadError, match="10 rows, and more users"):
            row(one, 0, 10)
        return
    alone = [row(one, iteration, 0) for iteration in range(20)]
    assert [row(two[iteration % 2], iteration, 0) for iteration in range(20)] == alone
    if order != "random":
        assert sorted(alone[:10]) == sorted(alone[10:]) == list(range(10))
    if order == "shuffled":
        assert alone[:10] not in (list(range(10)), alone[10:])


@given(st.integers(1, 400), st.integers(0, 2**40))
def test_a_shuffled_order_has_everything_once(number, seed):
    """Each turn gives another thing, and together they are all."""
    assert sorted(shuffled(turn, number, seed) for turn in range(number)) == list(range(number))


def test_a_shuffled_order_looks_like_none():
    """Every thing comes at every turn about as often as at any other."""
    places = [[0] * 7 for _ in range(7)]
    for seed in range(7000):
        for turn in range(7):
            places[turn][shuffled(turn, 7, seed)] += 1
    assert all(800 < count < 1200 for row in places for count in row)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "a,b\n", "no rows"),
        ("a.csv", "a\n1,2\n", "row 1"),
        ("a.jsonl", "[1]\n", "row 1"),
        ("a.jsonl", "{", "cannot be read"),
    ],
)
def test_files_that_hold_no_rows(tmp_path, name, content, said):
    """Rubbish in a data file is said with its place, before the load begins."""
    (tmp_path / name).write_text(content)
    with pytest.raises(LoadError, match=said):
        read_rows(tmp_path / name)


def test_line_breaks_from_data_split_no_request():
    """A row cannot add header fields or requests; odd characters of a path are coded."""
    job = spec({"name": "r", "get": "/{{ row.a }}", "headers": {"X-A": "{{ row.a }}"}})
    with pytest.raises(ValueError, match="line break"):
        prepare(job, Recorder("l"))[0].render({"row": {"a": "x\r\nHost: evil"}})
    plain = prepare(spec({"name": "r", "get": "/{{ row.a }}#part"}), Recorder("l"))[0]
    assert plain.render({"row": {"a": "ü\r\n x"}})[0].startswith(b"GET /%C3%BC%0D%0A%20x HTTP/1.1\r\n")
    with pytest.raises(ValueError, match="begins with /"):
        prepare(spec({"name": "r", "get": "{{ row.a }}"}), Recorder("l"))[0].render({"row": {"a": "http://other/"}})


def test_a_file_that_a_row_names_lies_in_the_plans_folder(tmp_path):
    """Data cannot make the load send files of the machine."""
    (tmp_path / "plan").mkdir()
    (tmp_path / "secret").write_text("s")
    job = spec({"name": "r", "post": "/", "file": "{{ row.f }}"}, base=str(tmp_path / "plan"))
    with pytest.raises(LoadError, match="outside"):
        prepare(job, Recorder("l"))[0].render({"row": {"f": "../secret"}})


@pytest.mark.parametrize(
    "http",
    [
        {},
        {"headers": {"A": "b"}},
        {"auth": {"bearer": "abc"}},
        {"compression": True},
        {"auth": {"basic": {"username": "a", "password": "b"}}},
    ],
)
def test_constant_requests_stay_constant(http):
    """None of what goes with every request makes it anew each time, and none of it leaves the quick path."""
    prepared = prepare(spec(**http), Recorder("l"))[0]
    assert prepared.constant == prepared.render({})[0]
    assert prepared.plain


@pytest.mark.parametrize(
    ("field", "goes"),
    [
        ("a=1", {"/": "a=1", "/x/y": "a=1"}), ("a=1; Path=/x", {"/": "", "/x": "a=1", "/x/y": "a=1", "/xy": ""}),
        ("a=1; Secure", {"/": ""}), ("a=1; Max-Age=0", {"/": ""}), ("a=1; Max-Age=-5", {"/": ""}),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", {"/": ""}), ("a=1; Expires=rubbish", {"/": "a=1"}),
        ("a=1; Max-Age=99; Expires=Thu, 01 Jan 1970 00:00:00 GMT", {"/": "a=1"}), ("a=1; Domain=other.org", {"/": ""}),
        ("a=1; Domain=shop.example", {"/": "a=1"}), ("no cookie", {"/": ""}), ("=x", {"/": ""}), ("a=" + "x" * 5000, {"/": ""}),
    ],
)  # fmt: skip
def test_cookies_go_where_they_may(field, goes):
    """Path, Secure, Max-Age, Expires and Domain, as browsers have them."""
    jar = Jar()
    jar.take([field], "www.shop.example", "/page")
    assert {path: jar.header("www.shop.example", path, secure=False) for path in goes} == goes


def test_a_jar_stays_small_and_forgets():
    """No more than a browser's number of cookies; one that is unset is gone; other hosts get none."""
    jar = Jar()
    assert jar.take([f"c{number}=1" for number in range(1000)], "h", "/")
    assert jar.header("h", "/", secure=False).count("=") == MOST
    assert jar.header("other", "/", secure=False) == ""
    assert jar.take(["c1=; Max-Age=0"], "h", "/")
    assert jar.value("c1") is None
    jar.clear()
    assert not jar


HOME = Origin("127.0.0.1", 8000, False, "shop.example")


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/b?c=1", ("home", "/b?c=1")), ("b", ("home", "/a/b")), ("?x", ("home", "/a/page?x")), ("http://127.0.0.1:8000/c", ("home", "/c")),
        ("http://shop.example/c", ("home", "/c")), ("//shop.example/c#part", ("home", "/c")), ("http://cdn.example/d", ("http://cdn.example", "/d")),
        ("https://cdn.example:444/d", ("https://cdn.example:444", "/d")),
    ],
)  # fmt: skip
def test_where_a_redirect_leads(location, there):
    """Relative and absolute addresses; the target by its address and by its name is home."""
    route = Route(Redirects(max=3, allow=["cdn.example"]), HOME, "/a/page", "GET")
    hop = route.follow(HttpAnswer(302, {"location": location}), new_cookies=False)
    assert ("home" if route.at_home else hop.origin.url, hop.path) == there


@pytest.mark.parametrize(
    "location",
    [
        "http://evil/",
        "https://shop.example/",
        "ftp://shop.example/",
        "http://[/",
        "http://shop.example:1/",
        "http://h:99999/",
        "/" + "x" * 9000,
    ],
)
def test_where_a_redirect_does_not_lead(location):
    """Other hosts, ports and schemes, and what is no address at all."""
    route = Route(Redirects(max=3), HOME, "/", "GET")
    with pytest.raises(Redirected):
        route.follow(HttpAnswer(302, {"location": location}), new_cookies=False)


@given(st.text(max_size=40))
def test_no_location_breaks_a_client(location):
    """Whatever a service writes, it is an address or an error, and never a line break in the next request."""
    route = Route(Redirects(max=3), HOME, "/", "GET")
    try:
        hop = route.follow(HttpAnswer(302, {"location": location}), new_cookies=False)
    except Redirected:
        return
    assert hop.path.startswith("/")
    assert not any(mark <= " " for mark in hop.path)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "x", ""]))
def test_no_body_breaks_the_unpacking(body, coding):
    """Bytes that are not what they say are an error or left alone, and never too many."""
    answer = HttpAnswer(200, {"content-encoding": coding}, body=body)
    assert decode(answer) is None or isinstance(decode(answer), str)
    assert len(answer.body) <= BODY_LIMIT


def test_secrets_of_a_scenario_are_found():
    """Passwords, tokens and keys of auth, also as they are sent; what a template makes later is none yet."""
    work = spec(
        {"name": "a", "get": "/?api_key=k-in-query", "auth": {"basic": {"username": "ann", "password": "pass-word"}}},
        {"name": "b", "get": "/", "auth": {"bearer": "{{ uuid() }}"}},
        {"name": "c", "get": "/", "auth": {"api_key": {"header": "X-K", "value": "key-value"}}},
        auth={"bearer": "tok-en-1"},
    ).work
    assert scenario_secrets(work) == {
        "k-in-query",
        "pass-word",
        base64.b64encode(b"ann:pass-word").decode(),
        "key-value",
        "tok-en-1",
    }


def examples() -> list[str]:
    """The YAML blocks of the reference."""
    page = (Path(__file__).parents[2] / "docs" / "requests.md").read_text(encoding="utf-8")
    return re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def plan_problems(tmp_path: Path, http: str, data: str | None = "file: users.csv") -> list[str]:
    """What is wrong with a plan with such an `http`."""
    for name in ("photo.png", "ca.pem", "client.pem", "client.key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "users.csv").write_text("email,expected\na@b,201\n")
    (tmp_path / "items.schema.json").write_text("{}")
    given = f"\n    data: {{{data}}}" if data else ""
    (tmp_path / "plan.yaml").write_text(
        "version: 1\nname: test\nservices:\n  api: {url: 'http://127.0.0.1:1'}\nscenarios:\n  s:\n"
        f"    executor: {{type: constant-vus, vus: 1, duration: 1s}}{given}\n    http:\n"
        + textwrap.indent(textwrap.dedent(http), "      ")
        + "\nstages: {baseline: {scenarios: [s]}}\n"
    )
    try:
        load_plan(tmp_path / "plan.yaml", environ={})
    except PlanError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize("number", range(len(examples())))
def test_every_example_of_the_reference_loads(tmp_path, number):
    """What docs/requests.md shows is a plan without a problem."""
    assert plan_problems(tmp_path, examples()[number]) == []


def test_the_reference_has_its_examples():
    """None is overlooked for a mark that does not end."""
    assert len(examples()) >= 9


SEQUENCE = "target: api.http\nrequests:\n"


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ("- {name: a, get: '/{{ id }}'}\n- {name: b, get: /, extract: {id: json.id}}", "`id` is used before it is extracted"),
        ("- {name: a, get: '/{{ id }}', extract: {id: json.id}}", "`id` is used before it is extracted"),
        ("- {name: a, get: /, extract: {id: json.id}}\n- {name: b, get: '/{{ ids }}'}", "the template uses `ids`"),
        ("- {name: a, get: /, extract: {vu: json.id}}", "a name that templates have already"),
        ("- {name: a, get: /, extract: {id: nowhere}}", "no source"),
        ("- {name: a, get: /, checks: ['status == {{ id }}']}\n- {name: b, get: /, extract: {id: json.id}}", "before it is extracted"),
        ("- {name: a, get: /, checks: ['status == {{ uuid() }}']}", "the template uses `uuid`"),
        ("- {name: a, get: /, checks: ['json matches gone.json']}", "cannot be read"),
        ("- {name: a, get: /, headers: {Content-Length: '5'}}", "cannot be given"),
        ("- {name: a, get: /, headers: {'a b': '5'}}", "no name of a header field"),
        ('- {name: a, get: /, headers: {a: "5\\nb: c"}}', "line break"),
        ("- {name: a, get: 'http://other/'}", "a path begins with /"),
        ("- {name: a, post: /, file: gone.bin}", "no such file"),
        ("- {name: a, post: /, multipart: {x: {file: gone.bin}}}", "no such file"),
        ("- {name: a, post: /, body: x, form: {a: b}}", "at most one of"),
        ("- {name: a, get: /, auth: {bearer: x, basic: {username: a, password: b}}}", "exactly one of basic"),
        ("- {name: a, get: /, auth: {api_key: {value: x}}}", "exactly one of header, query"),
        ("- {name: a, get: /}\nredirects: {max: 1, allow: ['http://x/']}", "is no host"),
        ("- {name: a, get: /}\ntls: {key: client.key}", "needs its `certificate`"),
        ("- {name: a, get: /}\ntls: {ca: gone.pem}", "no such file"),
        ("- {name: a, get: /}\ngroups: [{name: g, requests: [{name: b, get: /}]}]", "either `requests` or `groups`"),
        ("- {name: a, get: /}\n- {name: a, post: /}", "two requests are called"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_starts(tmp_path, requests, said):
    """Each mistake is one problem of the plan, in words that name it."""
    problems = plan_problems(tmp_path, SEQUENCE + textwrap.indent(requests, ""))
    assert len(problems) == 1
    assert said in problems[0]


def test_names_of_one_group_are_not_another_s(tmp_path):
    """What one group extracts, another cannot use; nor can requests of which one is drawn."""
    groups = "target: api.http\ngroups:\n- {name: g, requests: [{name: a, get: /, extract: {id: json.id}}]}\n"
    other = "- {name: h, requests: [{name: b, get: '/{{ id }}'}]}"
    drawn = "target: api.http\nmode: weighted\nrequests:\n- {name: a, get: /, extract: {id: json.id}}\n- {name: b, get: '/{{ id }}'}"
    for http in (groups + other, drawn):
        assert plan_problems(tmp_path, http) == ["`id` is used before it is extracted"]


def test_secrets_of_auth_are_not_recorded(tmp_path):
    """However short they are, and wherever they stand, the plan that is kept has none of them."""
    http = "target: api.http\nauth: {bearer: s1}\ngroups: [{name: g, requests: [{name: a, get: /, auth: {basic: {username: u, password: p2}}}, {name: b, get: /, auth: {api_key: {query: q, value: v3}}}]}]"
    assert plan_problems(tmp_path, http) == []
    resolved = load_plan(tmp_path / "plan.yaml", environ={}).resolved
    assert not any(f'"{secret}"' in resolved for secret in ("s1", "p2", "v3"))
    assert '"username": "u"' in resolved

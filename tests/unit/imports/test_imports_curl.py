"""Curl commands as plans."""

import pytest

from shakedown.errors import UsageError
from shakedown.imports import ImportOptions, import_curl, write_plan
from shakedown.imports.shell import split_command
from shakedown.plan import load_plan


def plan_of(tmp_path, *commands, **options):
    """The loaded plan of curl commands."""
    draft = import_curl(list(commands), ImportOptions(**options), tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text(write_plan(draft, allow=options.get("allow", False)), encoding="utf-8")
    return load_plan(path, environ={}).plan


def request_of(tmp_path, command, **options):
    return plan_of(tmp_path, command, **options).scenarios["requests"].http.requests[0]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("a 'b c' \"d $ e\"", ["a", "b c", "d $ e"]),
        ("a \\\n  b\\ c", ["a", "b c"]),
        ("a \\\r\n b", ["a", "b"]),
        ("$'a\\n\\'\\u00e9\\x41\\101\\\\'", ["a\n'éAA\\"]),
        ('"a\\"b\\c\\\\"', ['a"b\\c\\']),
        ("x'y'\"z\"", ["xyz"]),
        ("'' \"\"", ["", ""]),
        ('"$TOKEN" ${A}b', ["\0TOKEN\0", "\0A\0b"]),
        ("'$TOKEN'", ["$TOKEN"]),
    ],
)
def test_words_are_those_of_a_shell(command, words):
    """Quotes, escapes and continued lines are read as a shell reads them."""
    assert split_command(command) == words


@pytest.mark.parametrize(
    "command", ["'a", '"a', "$'a", "a | b", "a; b", "a & b", "a > b", "$(id)", "`id`", '"`id`"', "${a:-b}", "a\0"]
)
def test_what_only_a_shell_could_do_is_an_error(command):
    """Nothing is run, looked up or guessed."""
    with pytest.raises(UsageError):
        split_command(command)


def test_data_makes_a_form_and_a_post(tmp_path):
    """-d joins with &, sets the method and the form's type."""
    request = request_of(tmp_path, "curl http://127.0.0.1:8000/x?a=1 -d a=1 -db=2 --data-urlencode 'c=d e'")
    assert (request.method, request.path) == ("post", "/x?a=1")
    assert request.form == {"a": "1", "b": "2", "c": "d e"}
    assert request_of(tmp_path, "curl http://127.0.0.1:8000/x -d a=b%20c").body == "a=b%20c"  # a form would send b+c
    request = request_of(tmp_path, "curl http://127.0.0.1:8000/x -d a=1 -d b=2")
    assert request.form == {"a": "1", "b": "2"}
    assert request.headers == {}


def test_glued_flags_and_values(tmp_path):
    """-sSXPUT and -HName:value are read as curl reads them."""
    request = request_of(
        tmp_path, "curl -sSXPUT -H'X-A: b' --url 127.0.0.1:8000 -Aagent -ehttp://r/ --max-time 2.5 --data-raw @x"
    )
    assert (request.method, request.path, request.timeout.total) == ("put", "/", 2.5)
    assert request.headers["X-A"] == "b"
    assert request.headers["User-Agent"] == "agent"
    assert request.headers["Referer"] == "http://r/"
    assert request.body == "@x"


def test_get_moves_data_into_the_query(tmp_path):
    """-G sends data behind the path."""
    request = request_of(tmp_path, "curl -G 'http://127.0.0.1:8000/x?y=1' -d a=1 --data-urlencode 'b=c&d'")
    assert (request.method, request.path, request.body) == ("get", "/x?y=1&a=1&b=c%26d", None)


def test_json_and_its_headers(tmp_path):
    """--json sets type and Accept; the body is data."""
    request = request_of(tmp_path, """curl --json '{"a": "${X} {{ y }}", "n": 1.5}' http://127.0.0.1:8000/""")
    assert request.json_ == {"a": "${X} {{ '{' }}{ y }}", "n": 1.5}
    assert request.headers == {"Accept": "application/json"}


def test_secrets_become_variables(tmp_path):
    """No password, token or cookie of the command stands in the plan."""
    draft = import_curl(
        [
            "curl -u me:hunter2 http://127.0.0.1:8000/a",
            "curl -b 'sid=hunter2' -H 'X-Api-Key: hunter2' -H 'Authorization: Bearer hunter2' http://127.0.0.1:8000/b?token=hunter2",
            """curl http://me:hunter2@127.0.0.1:8000/c -H 'Content-Type: application/json' -d '{"password":"hunter2","pin":4711}'""",
            "curl http://127.0.0.1:8000/d -d 'user=a&password=hunter2'",
            "curl http://127.0.0.1:8000/d --oauth2-bearer hunter2 -F password=hunter2",
        ],
        ImportOptions(),
        tmp_path,
    )
    text = write_plan(draft, allow=False)
    assert "4711" not in text
    assert "hunter2" not in text
    names = {"BASIC_TOKEN", "SESSION_COOKIE", "X_API_KEY", "API_TOKEN", "TOKEN", "PASSWORD", "PIN"}
    assert names == set(draft.variables)


def test_variables_of_the_shell_become_variables_of_the_plan(tmp_path, monkeypatch):
    """$TOKEN in a command is ${TOKEN} in the plan, everywhere."""
    commands = [
        'curl "http://127.0.0.1:8000/$P" -H "Authorization: Bearer $T" -d "{\\"a\\": \\"$B\\"}" -H "Content-Type: application/json"'
    ]
    path = tmp_path / "plan.yaml"
    path.write_text(write_plan(import_curl(commands, ImportOptions(), tmp_path), allow=False), encoding="utf-8")
    request = load_plan(path, environ={"P": "p", "T": "t", "B": "b"}).plan.scenarios["requests"].http.requests[0]
    assert request.path == "/p"
    assert request.headers["Authorization"] == "Bearer t"
    assert request.body == '{"a": "b"}'


def test_multipart_and_files(tmp_path):
    """-F builds the body, files of text are read into it, and -d takes line breaks out of them."""
    (tmp_path / "f.txt").write_text("one\ntwo\n")
    request = request_of(
        tmp_path, "curl http://127.0.0.1:8000/ -F a=b -F 'f=@f.txt;type=text/csv;filename=g.csv' -F 'c=<f.txt'"
    )
    assert request.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert 'name="a"\r\n\r\nb\r\n' in (request.body or "")
    assert 'filename="g.csv"\r\nContent-Type: text/csv\r\n\r\none\ntwo\n' in (request.body or "")
    assert request_of(tmp_path, "curl http://127.0.0.1:8000/ -d @f.txt -H 'Content-Type: text/plain'").body == "onetwo"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("curl", "no address"),
        ("", "no address"),
        ("curl http://a/ http://b/", "2 addresses"),
        ("curl --proto =https --crlf --retry 3 http://127.0.0.1/", "--proto, --crlf"),
        ("curl -Z http://127.0.0.1/", "-Z"),
        ("curl ftp://127.0.0.1/", "no http address"),
        ("curl 'http://[::1/'", "no http address"),
        ("curl http://127.0.0.1:99999/", "no http address"),
        ("curl -X BREW http://127.0.0.1/", "BREW"),
        ("curl http://127.0.0.1/ -H", "lacks its value"),
        ("curl http://127.0.0.1/ -H nonsense", "no header"),
        ("curl http://127.0.0.1/ -H 'a b: c'", "cannot be sent"),
        ("curl http://127.0.0.1/ -H $'a: b\\nc'", "cannot be sent"),
        ("curl http://127.0.0.1/ -d @none.txt", "no such file"),
        ("curl http://127.0.0.1/ -d @-", "standard input"),
        ("curl http://127.0.0.1/ -d @.", "cannot be read"),
        ("curl http://127.0.0.1/ -F a -d b", "do not go together"),
        ("curl http://127.0.0.1/ -F a", "no field"),
        ("curl http://127.0.0.1/ -m soon", "--max-time"),
        ("curl http://127.0.0.1/ -b jar.txt", "cookies"),
        ("curl 'http://127.0.0.1/[1-3]'", "several requests"),
        ('curl "http://127.0.0.1/" ^\r\n  -H ^"a: b^"', "Windows"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, command, said):
    """Every mistake is one sentence that names it."""
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        import_curl([command], ImportOptions(), tmp_path)


def test_several_hosts_need_a_decision(tmp_path):
    """Commands for different hosts are refused, unless --url says where all go."""
    commands = ["curl http://127.0.0.1:1/a", "curl http://127.0.0.1:2/b"]
    with pytest.raises(UsageError, match="several hosts"):
        plan_of(tmp_path, *commands)
    plan = plan_of(tmp_path, *commands, url="http://localhost:3")
    assert plan.services["api"].url == "http://localhost:3"
    assert [one.path for one in plan.scenarios["requests"].http.requests] == ["/a", "/b"]


def test_what_a_plan_does_otherwise_is_noted(tmp_path):
    """-L, -k, -x and --compressed become comments, without the proxy's password."""
    draft = import_curl(["curl -Lkx http://u:hunter2@p:1 --compressed http://127.0.0.1/"], ImportOptions(), tmp_path)
    text = write_plan(draft, allow=False)
    assert all(option in text for option in ("(-L)", "(-k)", "(-x)", "gzip"))
    assert "hunter2" not in text

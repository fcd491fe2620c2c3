"""A browser's recording as a plan."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.errors import ShakedownError, UsageError
from shakedown.imports import ImportOptions, import_har, write_plan
from shakedown.plan import load_plan


def entry(url, method="GET", *, headers=(), status=200, at=0.0, post=None, kind="text/html", **more):
    """One entry of a recording."""
    request = {"method": method, "url": url, "headers": [{"name": name, "value": value} for name, value in headers]}
    if post is not None:
        request["postData"] = post
    moment = f"2024-01-01T00:00:{at:06.3f}Z"
    return {"startedDateTime": moment, "time": 100, "request": request,
            "response": {"status": status, "content": {"mimeType": kind}}, **more}  # fmt: skip


def write(tmp_path, *entries):
    path = tmp_path / "session.har"
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": list(entries)}}), encoding="utf-8")
    return path


def text_of(tmp_path, *entries, **options):
    return write_plan(import_har(write(tmp_path, *entries), ImportOptions(**options)), allow=False)


def requests_of(tmp_path, *entries, **options):
    path = tmp_path / "plan.yaml"
    path.write_text(text_of(tmp_path, *entries, **options), encoding="utf-8")
    return load_plan(path, environ={}).plan.scenarios["session"].http.requests


HOST = "http://127.0.0.1:8000"


def test_a_session_keeps_its_order_and_answers(tmp_path):
    """Requests stand in the order of the recording, each with the status that was recorded."""
    found = requests_of(
        tmp_path,
        entry(f"{HOST}/"),
        entry(
            f"{HOST}/login",
            "POST",
            status=302,
            at=3,
            post={"mimeType": "application/x-www-form-urlencoded", "text": "a=1"},
        ),
        entry(f"{HOST}/missing", status=404, at=3.2),
        entry(f"{HOST}/cached", status=304, at=4),
    )
    assert [(one.method, one.path, one.checks) for one in found] == [
        ("get", "/", ["status == 200"]),
        ("post", "/login", ["status == 302"]),
        ("get", "/missing", ["status == 404"]),
        ("get", "/cached", ["status in [200, 304]"]),
    ]
    assert found[1].form == {"a": "1"}


def test_gaps_and_repetitions_are_comments(tmp_path):
    """Think time is told; a repeated read is folded until something is written; writes never are."""
    post = {"mimeType": "text/plain", "text": "x"}
    entries = [entry(f"{HOST}/a"), entry(f"{HOST}/a", at=1), entry(f"{HOST}/b", "POST", at=4, post=post),
               entry(f"{HOST}/b", "POST", at=4.1, post=post), entry(f"{HOST}/a", at=5)]  # fmt: skip
    assert [one.path for one in requests_of(tmp_path, *entries)] == ["/a", "/b", "/b", "/a"]
    text = text_of(tmp_path, *entries)
    assert "recorded 2 times" in text
    assert "recorded 2.9 s after the request before it" in text
    assert "1 repetitions, folded" in text


def test_the_most_frequent_host_or_the_one_asked_for(tmp_path):
    """One host is taken; what goes elsewhere is counted in a comment."""
    entries = [entry("http://127.0.0.2/x"), entry(f"{HOST}/a"), entry(f"{HOST}/b")]
    assert "1 requests to http://127.0.0.2" in text_of(tmp_path, *entries)
    assert [one.path for one in requests_of(tmp_path, *entries, host="127.0.0.2")] == ["/x"]
    with pytest.raises(UsageError, match="holds no request to 'other'; it has http://127"):
        text_of(tmp_path, *entries, host="other")


def test_what_is_not_the_service_is_left_out(tmp_path):
    """Static files, preflights, sockets, failed and unreadable entries are left out and said."""
    entries = [
        entry(f"{HOST}/a"),
        entry(f"{HOST}/x.js"), entry(f"{HOST}/y", kind="image/png"), entry(f"{HOST}/z", _resourceType="font"),
        entry(f"{HOST}/a", "OPTIONS", headers=[("Access-Control-Request-Method", "PUT")]),
        entry("ws://127.0.0.1:8000/ws"), entry(f"{HOST}/up", status=101), entry(f"{HOST}/bad", status=503),
        entry("data:text/plain,x"), entry(f"{HOST}/", "BREW"), 7, {}, {"request": {"url": 3}},
    ]  # fmt: skip
    assert [one.path for one in requests_of(tmp_path, *entries)] == ["/a"]
    assert "3 static files" in text_of(tmp_path, *entries)
    assert len(requests_of(tmp_path, *entries, static=True)) == 4


def test_no_secret_is_copied_and_headers_are_trimmed(tmp_path):
    """Cookies, tokens and passwords become variables; what browsers add for themselves goes."""
    headers = [
        ("Authorization", "Bearer hunter2"), ("Cookie", "sid=hunter2"), ("X-CSRF-Token", "hunter2"), ("sec-fetch-mode", "x"),
        (":authority", "x"), ("User-Agent", "Mozilla"), ("Referer", "http://x/?token=hunter2"), ("Accept", "application/json"),
        ("Content-Length", "9"), ("Accept-Encoding", "gzip"),
    ]  # fmt: skip
    body = {"mimeType": "application/json", "text": json.dumps({"user": {"password": "hunter2"}, "n": 1})}
    part = '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--b--\r\n'
    entries = [
        entry(f"{HOST}/a?access_token=hunter2&x=1", "POST", headers=headers, post=body),
        entry(f"{HOST}/b", "POST", headers=headers, post={"mimeType": "multipart/form-data; boundary=b", "text": part}),
        entry(
            f"{HOST}/c",
            "POST",
            headers=headers,
            post={"mimeType": "application/json", "text": '{"token": "hunter2", "{{": 1}'},
        ),
        entry(f"{HOST}/d", "POST", post={"mimeType": "", "params": [{"name": "password", "value": "hunter2"}]}),
        entry(f"{HOST}/e/eyJhbGciOiJI.eyJzdWIiOiIx.hunter2abc"),
    ]
    text = text_of(tmp_path, *entries)
    assert "hunter2" not in text
    first = requests_of(tmp_path, *entries)[0]
    assert set(first.headers) == {"Authorization", "Cookie", "X-CSRF-Token", "Accept"}
    assert first.path == "/a?access_token=replace-me&x=1"
    assert first.json_ == {"user": {"password": "replace-me"}, "n": 1}


def test_two_secrets_of_one_name_are_two_variables(tmp_path):
    """Two users' tokens stay two; the same token stays one."""
    entries = [
        entry(f"{HOST}/{n}", headers=[("Authorization", f"Bearer {token}")])
        for n, token in enumerate(("one", "two", "one"))
    ]
    draft = import_har(write(tmp_path, *entries), ImportOptions())
    assert list(draft.variables) == ["API_TOKEN", "API_TOKEN_2"]
    assert draft.requests[2].headers == draft.requests[0].headers


def test_delete_is_a_comment_unless_asked_for(tmp_path):
    """A recorded DELETE is not sent by a first plan."""
    entries = [entry(f"{HOST}/a"), entry(f"{HOST}/a", "DELETE", status=204)]
    assert [one.method for one in requests_of(tmp_path, *entries)] == ["get"]
    assert [one.method for one in requests_of(tmp_path, *entries, all_methods=True)] == ["get", "delete"]
    with pytest.raises(UsageError, match="no request is left"):
        text_of(tmp_path, entries[1])


def test_only_and_limit(tmp_path):
    """--only and --limit narrow the session down, and the plan says by how much."""
    entries = [entry(f"{HOST}/{n}") for n in range(9)]
    assert [one.path for one in requests_of(tmp_path, *entries, only="GET /[1-3]", limit=2)] == ["/1", "/2"]
    assert "6 requests that --only does not find; 1 requests after the first 2 (--limit)" in text_of(
        tmp_path, *entries, only="GET /[1-3]", limit=2
    )
    with pytest.raises(UsageError, match="regular expression"):
        text_of(tmp_path, *entries, only="(")


def test_health_is_taken_where_it_was_seen(tmp_path):
    """A health path that answered 2xx without credentials becomes the service's health."""
    assert "health: {http: http:/healthz}" in text_of(tmp_path, entry(f"{HOST}/healthz")).replace("'", "")
    assert "# health:" in text_of(tmp_path, entry(f"{HOST}/healthz", status=404))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"), (b" \n", "empty"), (b"{", "cut off"), (b'{"log": {"entries": [{"request": ', "cut off"), (b"nope", "not JSON"),
        (b"\xff\xfe", "empty"), (b"\xff\x00\x80", "not UTF-8"), (b"[]", "no log.entries"), (b'{"log": []}', "no log.entries"),
        (b'{"log": {"entries": {}}}', "no log.entries"), (b'{"log": {"entries": []}}', "no request"),
        (b"[" * 100_000, "nested too deep"), (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"), (b"\x00\x01", "not JSON"),
        (b'{"log": {"entries": [null, 1, "x", [], {"request": []}]}}', "no request"),
    ],
)  # fmt: skip
def test_rubbish_is_one_sentence(tmp_path, data, said):
    """A file that is no recording ends in one clear error."""
    path = tmp_path / "x.har"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=said) as raised:
        import_har(path, ImportOptions())
    assert str(path) in raised.value.message


def test_utf_16_is_read(tmp_path):
    """A recording saved with another Unicode encoding and its mark is read."""
    path = write(tmp_path, entry(f"{HOST}/é"))
    for encoding in ("utf-16", "utf-8-sig", "utf-32"):
        path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
        assert import_har(path, ImportOptions()).requests[0].path == "/%C3%A9"
        path.write_text(path.read_text(encoding=encoding), encoding="utf-8")


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1000) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["GET", "POST", "DELETE", "http://127.0.0.1/a", "http://[", "https://h:99999/", "application/json"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["request", "response", "url", "method", "headers", "name", "value", "postData", "mimeType", "text",
                         "params", "status", "content", "startedDateTime", "time", "encoding"]), inner, max_size=6,
    ),
    max_leaves=15,
)  # fmt: skip


@given(entries=st.lists(VALUE, max_size=4))
def test_any_recording_ends_in_a_plan_or_a_sentence(tmp_path_factory, entries):
    """Entries of any shape give a plan that loads (but for `allow`), or one clear error."""
    folder = tmp_path_factory.getbasetemp()
    good = entry(f"{HOST}/ok")
    path = folder / "x.har"
    path.write_text(json.dumps({"log": {"entries": [good, *entries, good]}}), encoding="utf-8")
    text = write_plan(import_har(path, ImportOptions(host="127.0.0.1:8000")), allow=False)
    plan = folder / "har.yaml"
    plan.write_text(text, encoding="utf-8")
    load_plan(plan, environ={})
    path.write_text(json.dumps({"log": {"entries": entries}}), encoding="utf-8")
    try:
        write_plan(import_har(path, ImportOptions()), allow=True)
    except ShakedownError as error:
        assert error.exit_code == 2

"""The stub's answers, without a network: routes, templates, limits, errors from the seed, streams, counts."""

import asyncio
import json
from random import Random

import pytest

from shakedown.plan.stubs import Stub as Plan
from shakedown.services.stub import templates
from shakedown.services.stub.answers import Answer, Call, Counts, Stub, pattern
from shakedown.services.stub.server import Calls


def stub(*routes, seed=0) -> Stub:
    """A stub of these routes, from a plan."""
    plan = Plan(routes=list(routes), seed=seed)
    made = [{**one.model_dump(mode="json", by_alias=True), "label": one.label} for one in plan.routes]
    return Stub({"seed": plan.seed, "routes": made}, Counts())


def ask(server, path="/a", method="GET", **given) -> Answer:
    """What one call gets."""
    call = Call(method, path, given.get("query", ""), given.get("headers", {}), given.get("body", b""))
    return asyncio.run(server.answer(call))[1]


async def _events(server, body) -> list[str]:
    _, answer = await server.answer(Call("POST", "/a", "", {}, body))
    return [event.decode() async for event in answer.events]


@pytest.mark.parametrize(
    ("path", "fits", "does_not"),
    [("/a/*", ["/a/b", "/a/"], ["/a", "/a/b/c"]), ("/a/**", ["/a/b/c"], ["/b"]), ("/a.b", ["/a.b"], ["/axb"])],
)
def test_paths(path, fits, does_not):
    """`*` is anything but a slash, `**` anything, all else itself."""
    found = pattern(path)
    assert all(found.fullmatch(one) for one in fits)
    assert not any(found.fullmatch(one) for one in does_not)


def test_the_first_route_that_fits():
    """In the plan's order, by method and path; a call that fits none gets 404 and is counted by name."""
    server = stub(
        {"path": "/a", "methods": ["POST"], "status": 201}, {"path": "/**", "methods": ["GET"], "status": 202}
    )
    assert ask(server, "/a", "POST").status == 201
    assert ask(server, "/a", "GET").status == 202
    assert ask(server, "/a", "PUT").status == 404
    stats = server.counts.stats()
    assert (stats["calls"], stats["no_route"]) == (2, {"PUT /a": 1})
    assert stats["routes"]["POST /a"]["statuses"] == {"201": 1}


def test_templates():
    """A text that is one expression becomes its value, of whatever type; within text it becomes text; what is not there is nothing."""
    names = {"request": {"json": {"n": 5, "list": [{"x": True}]}, "query": {"q": "v"}}, "count": 3}
    value = {
        "n": "{{ request.json.n }}",
        "t": "a{{ request.json.list.0.x }}b{{ request.json.none.x }}",
        "c": ["{{count}}"],
    }
    assert templates.fill(value, names, Random(1)) == {"n": 5, "t": "atrueb", "c": [3]}
    assert templates.fill("{{ request.query.q }}", names, Random(1)) == "v"
    assert templates.fill("{{ request.json.n.deeper }}", names, Random(1)) is None
    first, again = (templates.fill("{{ uuid() }}", names, Random(1)) for _ in range(2))
    assert first == again
    assert len(first) == 36


def test_a_body_that_is_no_json_is_none():
    """Templates on a request that is not what they expect give nothing, and no error."""
    answer = ask(stub({"path": "/a", "json": {"model": "{{ request.json.model }}"}}), body=b"\xff{")
    assert (answer.status, json.loads(answer.body)) == (200, {"model": None})


def test_a_limit():
    """So many calls, then 429 with Retry-After until there is room."""
    server = stub({"path": "/a", "rate_limit": {"calls": 2, "per": "30s"}})
    answers = [ask(server) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[2].headers["retry-after"] == "30"
    assert server.counts.stats()["routes"]["/a"] == {
        "calls": 4, "statuses": {"200": 2, "429": 2}, "streamed": 0, "unfinished": 0,
    }  # fmt: skip


def test_errors_from_the_seed():
    """About the asked share; the same seed the same ones, another seed others."""

    def failed(seed):
        server = stub({"path": "/a", "errors": {"share": "20%", "status": 500}}, seed=seed)
        return [index for index in range(300) if ask(server).status == 500]

    assert failed(1) == failed(1) != failed(2)
    assert 30 <= len(failed(1)) <= 95


def test_a_stream_when_asked():
    """`"stream": true` gets events, others the plain answer; the text is repeated up to the asked number of tokens."""
    route = {
        "path": "/a",
        "json": {"plain": True},
        "stream": {"text": "a b", "tokens": 5, "interval": 0, "name": "delta"},
    }
    server = stub(route)
    events = asyncio.run(_events(server, b'{"stream": true}'))
    assert len(events) == 6
    assert events[0] == 'event: delta\ndata: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
    said = [json.loads(event.partition("data: ")[2])["choices"][0]["delta"]["content"] for event in events[:-1]]
    assert "".join(said) == "a b a b a"
    assert events[-1] == "data: [DONE]\n\n"
    assert ask(server, method="POST", body=b'{"stream": false}').events is None
    assert ask(server, method="POST", body=b"no json").events is None
    assert server.counts.stats()["routes"]["/a"]["streamed"] == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_requests_in_pieces(size):
    """However the bytes come, the same calls come out, one behind the other."""
    data = (
        b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /d HTTP/1.1\r\nConnection: close\r\n\r\n"
    )
    calls = Calls()
    for begin in range(0, len(data), size):
        calls.feed(data[begin : begin + size])
    (first, stays), (second, stays_too) = calls.ready
    assert (first.method, first.path, first.query, first.body, stays) == ("POST", "/a", "b=c", b"abc", True)
    assert (second.method, second.path, stays_too) == ("GET", "/d", False)


def test_no_http():
    """What is no HTTP raises what the server answers with 400."""
    with pytest.raises(ValueError, match=r"."):
        Calls().feed(b"\0\1\2\r\n\r\n")

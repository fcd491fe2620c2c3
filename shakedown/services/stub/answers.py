"""The stub: which route answers a call, how, and when."""

import asyncio
import json
import math
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl

from shakedown.services.stub import templates

KEPT = 100  # calls without a route, counted by name


@dataclass
class Call:
    """One request, whole."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Its body, if that is JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def names(self) -> dict[str, Any]:
        """What templates may use."""
        return {
            "method": self.method, "path": self.path, "query": dict(parse_qsl(self.query)), "headers": self.headers,
            "body": self.body.decode(errors="replace"), "json": self.json(),
        }  # fmt: skip


@dataclass
class Answer:
    """What a call gets; `events` follow one by one in the place of a body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: AsyncIterator[bytes] | None = None


class Counts:
    """What was called, and what became of it."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.statuses: dict[str, Counter[str]] = {}
        self.streamed: Counter[str] = Counter()
        self.unfinished: Counter[str] = Counter()
        self.strange: Counter[str] = Counter()

    def called(self, label: str) -> None:
        """A call came."""
        self.calls[label] += 1

    def answered(self, label: str, status: int) -> None:
        """A call gets this answer."""
        self.statuses.setdefault(label, Counter())[str(status)] += 1

    def no_route(self, name: str) -> None:
        """A call fits no route."""
        self.strange[name if name in self.strange or len(self.strange) < KEPT else "others"] += 1

    def stats(self) -> dict[str, Any]:
        """All of it."""
        return {
            "calls": sum(self.calls.values()),
            "routes": {
                label: {"calls": number, "statuses": dict(self.statuses.get(label, {})), "streamed": self.streamed[label],
                        "unfinished": self.unfinished[label]}
                for label, number in self.calls.items()
            },
            "no_route": dict(self.strange),
        }  # fmt: skip

    def metrics(self) -> str:
        """As Prometheus reads it."""
        lines = ["# TYPE stub_calls counter"]
        for label, statuses in self.statuses.items():
            name = label.replace("\\", "\\\\").replace('"', '\\"')
            lines += [f'stub_calls{{route="{name}",status="{status}"}} {number}' for status, number in statuses.items()]
        arrived = sum(self.calls.values()) + sum(self.strange.values())
        lines += ["# TYPE stub_arrivals counter", f"stub_arrivals {arrived}"]
        lines += ["# TYPE stub_calls_without_route counter", f"stub_calls_without_route {sum(self.strange.values())}"]
        return "\n".join(lines) + "\n"


def pattern(path: str) -> re.Pattern[str]:
    """`*` is anything but a slash, `**` anything."""
    meanings = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(meanings.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", path)))


class Route:
    """One route of the plan."""

    def __init__(self, plan: dict[str, Any], seed: str, counts: Counts) -> None:
        self.plan, self.counts, self.label = plan, counts, str(plan["label"])
        self.pattern, self.methods = pattern(plan["path"]), frozenset(plan["methods"])
        self.lots = Random(seed)  # noqa: S311 - of a stub, no secret
        self.content = Path(plan["file"]).read_bytes() if plan["file"] else None
        self.accepted: deque[float] = deque()
        counts.calls[self.label] = 0

    def fits(self, call: Call) -> bool:
        """Whether it answers this call."""
        return (not self.methods or call.method in self.methods) and self.pattern.fullmatch(call.path) is not None

    async def answer(self, call: Call) -> Answer:
        """Its answer; the counts are kept."""
        self.counts.called(self.label)
        names = {"request": call.names(), "count": self.counts.calls[self.label]}
        found = self._over_limit() or await self._in_time(names)
        self.counts.answered(self.label, found.status)
        if found.events is not None:
            self.counts.streamed[self.label] += 1
        return found

    def _over_limit(self) -> Answer | None:
        limit = self.plan["rate_limit"]
        if limit is None:
            return None
        now = time.monotonic()
        while self.accepted and self.accepted[0] <= now - limit["per"]:
            self.accepted.popleft()
        if len(self.accepted) < limit["calls"]:
            self.accepted.append(now)
            return None
        wait = limit["retry_after"]
        after = self.accepted[0] + limit["per"] - now if wait is None else wait
        return _as_json(429, {"error": {"type": "rate_limit", "message": "too many calls"}}, _retry_after(after))

    async def _in_time(self, names: dict[str, Any]) -> Answer:
        plan, errors = self.plan, self.plan["errors"]
        fails = errors is not None and self.lots.random() < errors["share"]
        wait = plan["latency"] + self.lots.uniform(-plan["jitter"], plan["jitter"])
        if wait > 0:
            await asyncio.sleep(wait)
        if fails:
            body = errors["json"]
            body = {"error": {"type": "stub", "message": "an error that the plan asks for"}} if body is None else body
            after = {} if errors["retry_after"] is None else _retry_after(errors["retry_after"])
            return _as_json(errors["status"], templates.fill(body, names, self.lots), after)
        headers = {
            name: templates.text(templates.fill(value, names, self.lots)) for name, value in plan["headers"].items()
        }
        stream = plan["stream"]
        asked = isinstance(names["request"]["json"], dict) and names["request"]["json"].get("stream") is True
        if stream is not None and (stream["when"] == "always" or asked):
            kind = {"content-type": "text/event-stream", "cache-control": "no-cache"}
            return Answer(plan["status"], {**kind, **headers}, events=self._events(stream, names))
        if self.content is not None:
            return Answer(plan["status"], {"content-type": "application/octet-stream", **headers}, self.content)
        if plan["body"] is not None:
            body = templates.text(templates.fill(plan["body"], names, self.lots)).encode()
            return Answer(plan["status"], {"content-type": "text/plain; charset=utf-8", **headers}, body)
        if plan["json"] is not None:
            return _as_json(plan["status"], templates.fill(plan["json"], names, self.lots), headers)
        return Answer(plan["status"], headers)

    async def _events(self, stream: dict[str, Any], names: dict[str, Any]) -> AsyncIterator[bytes]:
        tokens = re.findall(r"\s*\S+", stream["text"]) or [stream["text"]]
        number = stream["tokens"] or len(tokens)
        for index in range(number):
            wait = stream["interval"] + self.lots.uniform(-stream["jitter"], stream["jitter"])
            wait = stream["first_after"] if index == 0 else wait
            if wait > 0:
                await asyncio.sleep(wait)
            token = tokens[index % len(tokens)]
            if index and index % len(tokens) == 0:
                token = f" {token}"  # the text begins again
            event = templates.fill(stream["event"], {**names, "token": token, "index": index}, self.lots)
            yield _event(json.dumps(event, ensure_ascii=False), stream["name"])
        if stream["end"] is not None:
            yield _event(stream["end"], None)


class Stub:
    """All routes."""

    def __init__(self, plan: dict[str, Any], counts: Counts) -> None:
        self.counts = counts
        self.routes = [Route(route, f"{plan['seed']}:{index}", counts) for index, route in enumerate(plan["routes"])]

    async def answer(self, call: Call) -> tuple[str, Answer]:
        """The answer to a call, and the label of the route that gives it."""
        for route in self.routes:
            if route.fits(call):
                return route.label, await route.answer(call)
        name = f"{call.method} {call.path[:80]}"
        self.counts.no_route(name)
        return "", _as_json(404, {"error": {"type": "stub", "message": f"no route of the stub fits {name}"}}, {})


def _as_json(status: int, value: Any, headers: dict[str, str]) -> Answer:
    return Answer(
        status, {"content-type": "application/json", **headers}, json.dumps(value, ensure_ascii=False).encode()
    )


def _retry_after(seconds: float) -> dict[str, str]:
    return {"retry-after": str(max(math.ceil(seconds), 0))}


def _event(data: str, name: str | None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data}\n\n".encode()

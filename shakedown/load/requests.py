"""Requests compiled once: what is constant is made bytes beforehand, what is a template is rendered per iteration."""

import csv
import json
import random
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from shakedown.errors import LoadError
from shakedown.load.spec import LoadSpec
from shakedown.plan.checks import Checks, compile_checks
from shakedown.plan.model import Request
from shakedown.plan.templates import environment, is_constant

__all__ = ["Context", "PreparedRequest", "prepare", "read_rows"]

Render = Callable[[dict[str, object]], Any]


class Context:
    """The names that templates use, and the randomness behind them."""

    def __init__(self, seed: int, rows: Sequence[dict[str, object]], order: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable data, not cryptography
        self._rows, self._order = rows, order
        self._functions: dict[str, object] = {
            "uuid": lambda: str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "randint": self._random.randint,
            "choice": lambda *values: self._random.choice(values[0] if len(values) == 1 else values),
            "now": time.time,
        }

    def names(self, iteration: int, vu: int) -> dict[str, object]:
        """The names of one iteration."""
        names = {**self._functions, "iteration": iteration, "vu": vu}
        if self._rows:
            names["row"] = (
                self._random.choice(self._rows) if self._order == "random" else self._rows[iteration % len(self._rows)]
            )
        return names

    def draw(self, weights: Sequence[float]) -> int:
        """An index drawn by weight."""
        return self._random.choices(range(len(weights)), weights)[0]


def read_rows(path: Path) -> list[dict[str, object]]:
    """Rows from CSV (with a header) or JSON lines.

    Raises:
        LoadError: the file holds no rows, or a line that is not JSON.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() in (".jsonl", ".ndjson"):
                rows: list[dict[str, object]] = [json.loads(line) for line in file if line.strip()]
            else:
                rows = [dict(row) for row in csv.DictReader(file)]
    except (OSError, ValueError) as error:
        raise LoadError(f"the data file {path} cannot be read: {error}") from error
    if not rows:
        raise LoadError(f"the data file {path} holds no rows")
    return rows


class PreparedRequest:
    """One request of a scenario, ready to be sent.

    Attributes:
        index: its place in the scenario.
        keeps_body: whether its checks look at the body.
    """

    def __init__(self, index: int, request: Request, spec: LoadSpec) -> None:
        self.index = index
        self.name = request.name
        self.timeout = request.timeout
        self.ledger = request.ledger
        self.method = request.method.upper()
        self.checks: Checks = compile_checks(request.checks)
        self.keeps_body = self.checks.needs_body
        self._path = _text(request.path)
        headers = {**spec.http.headers, **request.headers}
        lower = {name.lower() for name in headers}
        if "host" not in lower:
            headers = {"Host": _host(spec), **headers}
        for name, value in (("User-Agent", "shakedown"), ("Accept", "*/*")):
            if name.lower() not in lower:
                headers[name] = value
        if request.json_ is not None and "content-type" not in lower:
            headers["Content-Type"] = "application/json"
        if request.form is not None and "content-type" not in lower:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._headers = _text("".join(f"{name}: {value}\r\n" for name, value in headers.items()))
        self._body, self._kind = _body(request)
        self._key = _text(request.key) if request.key is not None else None
        constant = [request.path, *headers.values(), json.dumps(request.json_), request.body or "", str(request.form)]
        self._ready: bytes | None = None
        self._ready = self.render({})[0] if request.ledger is None and all(map(is_constant, constant)) else None

    def render(self, names: dict[str, object]) -> tuple[bytes, str | None]:
        """The request's bytes and its ledger key (None without a ledger)."""
        if self._ready is not None:
            return self._ready, None
        value: Any = self._body(names) if self._body else None
        if self._kind == "json":
            body = json.dumps(value, ensure_ascii=False).encode()
        elif self._kind == "form":
            body = urlencode(value).encode()
        else:
            body = value.encode() if value is not None else b""
        key = None
        if self.ledger is not None:
            key = self._key({**names, "body": value}) if self._key else str(value["id"])
        length = f"Content-Length: {len(body)}\r\n" if body or self.method in ("POST", "PUT", "PATCH") else ""
        path = self._path(names).replace(" ", "%20")
        head = f"{self.method} {path} HTTP/1.1\r\n{self._headers(names)}{length}\r\n"
        return head.encode() + body, key


def prepare(spec: LoadSpec) -> list[PreparedRequest]:
    """Every request of a load, compiled."""
    return [PreparedRequest(index, request, spec) for index, request in enumerate(spec.http.requests)]


def _host(spec: LoadSpec) -> str:
    return f"{spec.target.host}:{spec.target.port}"


def _text(text: str) -> Callable[[dict[str, object]], str]:
    if is_constant(text):
        return lambda _: text
    template = environment().from_string(text)
    return template.render


def _body(request: Request) -> tuple[Render | None, str]:
    if request.json_ is not None:
        return _tree(request.json_), "json"
    if request.form is not None:
        return _tree(request.form), "form"
    return (_text(request.body) if request.body is not None else None), "text"


def _tree(value: object) -> Render:
    """A JSON value whose texts are templates, as a function of the names."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        members = {key: _tree(item) for key, item in value.items()}
        return lambda names: {key: render(names) for key, render in members.items()}
    if isinstance(value, list):
        items = [_tree(item) for item in value]
        return lambda names: [render(names) for render in items]
    return lambda _: value

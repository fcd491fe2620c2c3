"""Requests compiled once: what is constant is made bytes beforehand, what is a template is rendered per iteration."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from shakedown.load.http.connection import HttpAnswer
from shakedown.load.recorder import Recorder
from shakedown.load.spec import LoadSpec
from shakedown.plan.checks import Checks, compile_checks
from shakedown.plan.scenarios import Request
from shakedown.plan.templates import environment, is_constant
from shakedown.records.load import Outcome

__all__ = ["PreparedRequest", "prepare"]

Render = Callable[[dict[str, object]], Any]


class PreparedRequest:
    """One request of a scenario, ready to be sent.

    Attributes:
        constant: its bytes, when no part of it is a template and no ledger notes it.
        head: whether it is a HEAD request.
        held: where those that went well are put: [measured, warm-up].
        keeps_body: whether its checks look at the body.
    """

    def __init__(self, request: Request, spec: LoadSpec, recorder: Recorder) -> None:
        self.name = request.name
        self.timeout = request.timeout
        self.ledger = request.ledger
        self.weight = request.weight
        self.method = request.method.upper()
        self.head = self.method == "HEAD"
        self.held = [recorder.cell(request.name, Outcome.OK, warm_up=warm_up) for warm_up in (False, True)]
        self.checks: Checks = compile_checks(request.checks)
        self.keeps_body = self.checks.needs_body
        self._of_head_alone = self.checks.of_head_alone
        self._path = _text(request.path)
        headers = {**spec.work.http.headers, **request.headers}
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
        self.constant: bytes | None = None
        if request.ledger is None and all(map(is_constant, constant)):
            self.constant = self.render({})[0]

    def wrong(self, answer: HttpAnswer) -> str | None:
        """The first check that does not hold; None when all do."""
        head = answer.head
        if head is None or not self._of_head_alone:
            return self.checks.failed(answer)
        if self not in head.judged:
            head.judged[self] = self.checks.failed(answer)
        return head.judged[self]

    def render(self, names: dict[str, object]) -> tuple[bytes, str | None]:
        """The request's bytes and its ledger key (None without a ledger)."""
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


def prepare(spec: LoadSpec, recorder: Recorder) -> list[PreparedRequest]:
    """Every request of a load, compiled."""
    return [PreparedRequest(request, spec, recorder) for request in spec.work.http.requests]


def _host(spec: LoadSpec) -> str:
    return f"{spec.address.host}:{spec.address.port}"


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

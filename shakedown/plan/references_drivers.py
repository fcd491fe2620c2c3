"""What shows in a scenario beside HTTP only when the whole plan is seen: names, templates, checks, addresses."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from shakedown.errors import PlanProblem
from shakedown.plan.document import Document, Path
from shakedown.plan.driver_checks import compile_driver_checks
from shakedown.plan.drivers import (
    Operation,
    Python,
    RedisOperation,
    SqlOperation,
    TcpOperation,
    Websocket,
    WebsocketOperation,
    Write,
)
from shakedown.plan.profiles import nearest
from shakedown.plan.requests import Http
from shakedown.plan.scenarios import Scenario
from shakedown.plan.templates import LOAD_NAMES, is_constant, template_problem, texts_in

__all__ = ["driver_problems"]

Problem = Callable[[Path, str, str | None], PlanProblem]
# SQLAlchemy's own rule for `:name` in a text: not after a colon, a word or a backslash, and no colon after it.
_PARAMETER = re.compile(r"(?<![:\w\x5c]):(\w+)(?!:)")


def driver_problems(
    path: Path,
    scenario: Scenario,
    document: Document,
    base: FilePath,
    *,
    ledgers: Iterable[str],
    is_own: Callable[[str], bool],
) -> Iterator[PlanProblem]:
    """Every problem of a scenario that speaks something else than HTTP; its target is looked at elsewhere.

    Args:
        path: of the scenario.
        base: the plan's folder.
        ledgers: of the plan.
        is_own: whether a host is this machine for certain.
    """
    spoken, here, problem, ledgers = scenario.spoken, (*path, scenario.driver), document.problem, list(ledgers)
    names = LOAD_NAMES if scenario.data is not None else LOAD_NAMES - {"row"}
    if isinstance(spoken, Http):
        proxy = urlsplit(scenario.via.proxy or "").hostname if scenario.via is not None else None
        if proxy is not None and not is_own(proxy):
            yield problem(
                (*path, "via", "proxy"),
                f"a proxy at {proxy}, which is not on this machine",
                "have one run here, or among the plan's services with a port of this machine",
            )
        return
    if isinstance(spoken, Python):
        yield from _python((*here, "function"), spoken, problem, base)
        for name, ledger in spoken.ledgers.items():
            if ledger not in ledgers:
                shown = ", ".join(ledgers) or "none"
                message = f"no such ledger: `{ledger}`; the plan has {shown}"
                yield problem((*here, "ledgers", name), message, nearest(ledger, ledgers))
        return
    if scenario.sql is not None and scenario.sql.host is not None and not is_own(scenario.sql.host):
        yield problem(
            (*here, "url"),
            f"load on {scenario.sql.host}, which is not on this machine",
            "make it a service of the plan, and name it in `target`",
        )
    if isinstance(spoken, Websocket):
        for key, text in (("path", spoken.path), *((f"headers.{name}", text) for name, text in spoken.headers.items())):
            if wrong := template_problem(text, names):
                yield problem((*here, *key.split(".", 1)), wrong, None)
    seen: set[str] = set()
    for index, operation in enumerate(spoken.operations):
        place: Path = (*here, "operations", index)
        if operation.name in seen:
            yield problem((*place, "name"), f"two operations are called `{operation.name}`", None)
        seen.add(operation.name)
        yield from _operation(place, scenario.driver, operation, names, problem)
        yield from _ledger(place, operation, names, problem, ledgers)


def _operation(
    path: Path, driver: str, operation: Operation, names: frozenset[str], problem: Problem
) -> Iterator[PlanProblem]:
    parts: dict[str, object] = {}
    texts: dict[str, Sequence[str]] = {"checks": operation.checks}
    match operation:
        case SqlOperation():
            parts["parameters"] = [statement.parameters for statement in operation.statements]
            yield from _parameters(path, operation, problem)
        case RedisOperation():
            parts["command" if operation.command is not None else "pipeline"] = operation.commands
        case TcpOperation():
            key = next((key for key in ("send", "hex", "base64") if getattr(operation, key) is not None), "send")
            parts[key] = operation.text
        case WebsocketOperation():
            parts["send"], parts["json"] = operation.send, operation.json_
            texts["until"] = operation.until or ()
    for part, value in parts.items():
        for wrong in sorted({wrong for text in texts_in(value) if (wrong := template_problem(text, names))}):
            yield problem((*path, part), wrong, None)
    for key, checks in texts.items():
        for index, check in enumerate(checks):
            try:
                compile_driver_checks(driver, [check])
            except ValueError as error:
                yield problem((*path, key, index), str(error), None)


def _parameters(path: Path, operation: SqlOperation, problem: Problem) -> Iterator[PlanProblem]:
    key = "statement" if operation.statement is not None else "transaction"
    used: set[str] = set()
    for statement in operation.statements:
        wanted = set(_PARAMETER.findall(statement.statement))
        used |= wanted
        if not is_constant(statement.statement):
            yield problem(
                (*path, key), "a statement is no template", "write `:name` in it, and the template under `parameters`"
            )
        for name in sorted(wanted - set(statement.parameters)):
            yield problem(
                (*path, key),
                f"the statement has `:{name}`, and `parameters` has {', '.join(statement.parameters) or 'none'}",
                nearest(name, list(statement.parameters)),
            )
    given = {name for statement in operation.statements for name in statement.parameters}
    for name in sorted(given - used):
        cast = any(f":{name}::" in statement.statement for statement in operation.statements)
        hint = f"a cast is written `cast(:{name} as …)`, not `:{name}::…`" if cast else None
        yield problem((*path, "parameters"), f"no statement has `:{name}`", hint)


def _ledger(
    path: Path, operation: Operation, names: frozenset[str], problem: Problem, ledgers: Sequence[str]
) -> Iterator[PlanProblem]:
    if not isinstance(operation, Write):
        return
    own = "sent"
    if isinstance(operation, SqlOperation | RedisOperation):
        own = "parameters" if isinstance(operation, SqlOperation) else "command"
    for name in ("key", "value", "ordered_by"):
        text = getattr(operation, name)
        if text is not None and text != "body" and (wrong := template_problem(text, names | {own})):
            yield problem((*path, name), wrong, None)
    if operation.value == "body" and own != "sent":
        yield problem((*path, "value"), f"`body` is of bytes and messages; write a template, which knows `{own}`", None)
    if operation.ledger is None:
        return
    if operation.ledger not in ledgers:
        shown = ", ".join(ledgers) or "none"
        yield problem(
            (*path, "ledger"),
            f"no such ledger: `{operation.ledger}`; the plan has {shown}",
            nearest(operation.ledger, list(ledgers)),
        )
    if operation.key is not None:
        return
    if isinstance(operation, SqlOperation) and not all("id" in one.parameters for one in operation.statements):
        yield problem((*path, "ledger"), "a write in a ledger needs a key", "give `key:`, or a parameter `id`")
    if own == "sent":
        yield problem((*path, "ledger"), "a write in a ledger needs a key", "give `key:`; it knows `sent`")
    if isinstance(operation, RedisOperation) and len(operation.commands[0]) < 2:  # a command and its first argument
        yield problem((*path, "ledger"), "a write in a ledger needs a key", "give `key:`")


def _python(path: Path, python: Python, problem: Problem, base: FilePath) -> Iterator[PlanProblem]:
    """Whether the folder is there; what is in it, only the worker that imports it can say."""
    try:
        found = (base / python.path).is_dir()
    except OSError:
        found = False
    if not found:
        yield problem(
            (*path[:-1], "path"), f"no such folder: {python.path}", f"paths start from the plan's folder, {base}"
        )

"""What is wrong with a scenario's requests, seen with everything around them."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path as FilePath

from shakedown.errors import PlanProblem
from shakedown.plan.checks import compile_checks
from shakedown.plan.document import Document, Path
from shakedown.plan.extracts import parse_source
from shakedown.plan.profiles import nearest
from shakedown.plan.requests import Auth, Group, Http, Request
from shakedown.plan.templates import FUNCTIONS, LOAD_NAMES, is_constant, template_problem, texts_in, used

__all__ = ["http_problems", "key_template"]

# Checks draw nothing: what they compare with stands in the row, or was extracted.
_NOTED = ("key", "value", "ordered_by")  # they know what is sent
CHECK_NAMES = frozenset({"row", "iteration", "vu"}) | FUNCTIONS.keys()


def key_template(request: Request) -> str | None:
    """The template of a request's ledger key: its `key`, or the `id` of its JSON body."""
    if request.key is not None:
        return request.key
    body = request.json_
    return str(body["id"]) if isinstance(body, dict) and "id" in body else None


def http_problems(
    http: Http, path: Path, document: Document, base: FilePath, *, ledgers: Collection[str], rows: bool
) -> Iterator[PlanProblem]:
    """Every problem of a scenario's `http`.

    Args:
        path: where `http` stands in the document.
        base: the folder that paths start from.
        rows: whether the scenario has data.
    """
    names = LOAD_NAMES if rows else LOAD_NAMES - {"row"}
    checker = _Checker(http, document, base, ledgers)
    for header, text in http.headers.items():
        yield from checker.texts((*path, "headers", header), [text], names | checker.extracted)
    if http.auth is not None:
        yield from checker.auth((*path, "auth"), http.auth, names | checker.extracted)
    if http.tls is not None:
        for key in ("ca", "certificate", "key"):
            yield from checker.file((*path, "tls", key), getattr(http.tls, key))
    for index, group in enumerate(http.sequences):
        here = (*path, "groups", index) if http.groups else path
        if any(group.name == other.name for other in http.groups[:index]):
            yield document.problem((*here, "name"), f"two groups are called `{group.name}`")
        yield from checker.group(here, group, names)


class _Checker:
    def __init__(self, http: Http, document: Document, base: FilePath, ledgers: Collection[str]) -> None:
        self._http, self._document, self._base, self._ledgers = http, document, base, ledgers
        self._seen: set[str] = set()
        self.extracted = frozenset(name for request in http.all_requests for name in request.extract)

    def problem(self, path: Path, message: str, hint: str | None = None) -> PlanProblem:
        return self._document.problem(path, message, hint)

    def group(self, path: Path, group: Group, names: frozenset[str]) -> Iterator[PlanProblem]:
        known = names
        for index, request in enumerate(group.requests):
            here = (*path, "requests", index)
            if request.name in self._seen:
                yield self.problem((*here, "name"), f"two requests are called `{request.name}`")
            self._seen.add(request.name)
            yield from self.request(here, request, known)
            if group.mode == "sequence":
                known |= request.extract.keys()

    def request(self, path: Path, request: Request, names: frozenset[str]) -> Iterator[PlanProblem]:
        parts: dict[str, object] = {
            request.method: request.path, "headers": list(request.headers.values()), "json": request.json_,
            "body": request.body, "form": request.form, "file": request.file, "key": request.key,
            "value": request.value if request.value != "body" else None, "ordered_by": request.ordered_by,
            "multipart": list(request.multipart) + [
                part if isinstance(part, str) else part.file for part in (request.multipart or {}).values()
            ] if request.multipart else None,
        }  # fmt: skip
        for part, value in parts.items():
            yield from self.texts((*path, part), texts_in(value), names | {"body"} if part in _NOTED else names)
        auth = request.auth or self._http.auth
        if auth is not None:
            yield from self.auth((*path, "auth") if request.auth else path, auth, names)
        # The scenario's fields go with every request; here, what they use must have been extracted already.
        yield from self.texts(path, self._http.headers.values(), names, only_early=True)
        for name in request.files:
            yield from self.file((*path, "file" if request.file else "multipart"), name)
        for index, check in enumerate(request.checks):
            here = (*path, "checks", index)
            wrong = list(self.texts(here, [check], (names & (CHECK_NAMES | self.extracted))))
            yield from wrong
            try:
                compile_checks([check] if not wrong else [], self._base)
            except ValueError as error:
                yield self.problem(here, str(error))
        if request.degraded is not None:
            example = "write for example `json.degraded == true` or `header.warning exists`"
            yield from self.check((*path, "degraded"), request.degraded, "the marker of degraded answers", example)
        if request.refused is not None:
            yield from self.refusal((*path, "refused"), request)
        for name, text in request.extract.items():
            here = (*path, "extract", name)
            if name in LOAD_NAMES | {"body"}:
                yield self.problem(here, f"`{name}` is a name that templates have already; choose another")
            try:
                parse_source(text)
            except ValueError as error:
                yield self.problem(here, str(error))
        if request.ledger is not None:
            if request.ledger not in self._ledgers:
                listing = f"the plan has {', '.join(self._ledgers)}" if self._ledgers else "the plan has no ledger"
                hint = nearest(request.ledger, list(self._ledgers))
                yield self.problem((*path, "ledger"), f"no such ledger: `{request.ledger}`; {listing}", hint)
            if key_template(request) is None:
                yield self.problem(
                    (*path, "ledger"), "a write in a ledger needs a key", "give `key:`, or an `id` in the JSON body"
                )

    def check(self, path: Path, text: str, what: str, hint: str) -> Iterator[PlanProblem]:
        """A check that only tells something, and fails nothing: no template, and well formed."""
        if not is_constant(text):
            yield self.problem(path, f"{what} is no template: {text!r}")
            return
        try:
            compile_checks([text], self._base)
        except ValueError as error:
            yield self.problem(path, str(error), hint)

    def refusal(self, path: Path, request: Request) -> Iterator[PlanProblem]:
        if request.ledger is None:
            yield self.problem(path, "`refused` says what a ledger is to believe, and no ledger notes this request")
        hint = 'write for example `status == 503` or `json.error == "full"`'
        yield from self.check(path, request.refused or "", "the check that tells a refusal", hint)

    def texts(
        self, path: Path, texts: Iterable[str], names: frozenset[str], *, only_early: bool = False
    ) -> Iterator[PlanProblem]:
        """What is wrong with templates; with `only_early`, only that they use what is not extracted yet."""
        for text in texts:
            early = sorted((used(text) & self.extracted) - names)
            if early:
                yield self.problem(
                    path,
                    f"`{early[0]}` is used before it is extracted",
                    f"only what earlier requests of the same sequence extract can be used; {self._where(early[0])}",
                )
            elif not only_early and (problem := template_problem(text, names)):
                yield self.problem(path, problem)

    def _where(self, name: str) -> str:
        return ", ".join(f"`{one.name}` extracts it" for one in self._http.all_requests if name in one.extract)

    def auth(self, path: Path, auth: Auth, names: frozenset[str]) -> Iterator[PlanProblem]:
        yield from self.texts(path, auth.texts, names)

    def file(self, path: Path, name: str | None) -> Iterator[PlanProblem]:
        if name is None or not is_constant(name):
            return
        try:
            there = (self._base / name).is_file()
        except (OSError, ValueError):
            there = False
        if not there:
            yield self.problem(
                path, f"no such file or folder: {name}", f"paths start from the plan's folder, {self._base}"
            )

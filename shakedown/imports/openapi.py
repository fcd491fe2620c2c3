"""An OpenAPI document (3.0, 3.1) as a plan: a request for each operation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from shakedown.errors import UsageError
from shakedown.imports.addresses import checked_url, origin, split_address
from shakedown.imports.bodies import schema_body
from shakedown.imports.draft import Draft, DraftRequest, ImportOptions
from shakedown.imports.parameters import add_parameters
from shakedown.imports.refs import Node, References, as_list, as_node
from shakedown.imports.security import secure
from shakedown.imports.source import compile_only, read_json_or_yaml
from shakedown.imports.text import PlanText, literal, slug, unique
from shakedown.imports.values import Values, plain_text
from shakedown.imports.vault import Vault
from shakedown.plan.scenarios import METHODS

__all__ = ["import_openapi"]

_GUESS = "http://127.0.0.1:8000"
_HEALTH = re.compile(
    r"/([\w-]+/){0,3}_?(health|healthz|healthcheck|livez|readyz|ready|live|ping|status)/?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    node: Node
    item: Node

    @property
    def tags(self) -> list[str]:
        return [str(tag) for tag in as_list(self.node.get("tags"))]


def import_openapi(path: Path, options: ImportOptions) -> Draft:
    """A draft with the operations of a document, in its order.

    Raises:
        UsageError: the file is no OpenAPI 3 document, or nothing of it is left.
    """
    only = compile_only(options.only)
    document = _checked(read_json_or_yaml(path), path)
    references = References(document)
    vault = Vault()
    url, base, guessed = _address(document, options.url)
    draft = Draft(
        title=plain_text(as_node(document.get("info")).get("title") or path.stem),
        origin=f"written by `shakedown init --openapi {path.name}`",
        url=url, scenario="operations", mode="weighted", requests=[], guessed=guessed,
    )  # fmt: skip
    names: set[str] = set()
    for operation in _operations(document, references, draft):
        if only is not None and not _finds(only, operation):
            draft.skip("operations that --only does not find")
        elif len(draft.requests) >= options.limit:
            draft.skip(f"operations after the first {options.limit} (--limit)")
        else:
            request = _request(operation, document, base, references, vault)
            request.name = unique(request.name, names)
            if operation.method == "delete" and not options.all_methods:
                request.off = "change: a DELETE is not sent unless you take the comment signs away (or --all-methods)"
            draft.requests.append(request)
            if draft.health is None and _is_health(operation, request):
                draft.health = base + operation.path
    draft.variables = vault.variables
    if references.missing:
        listed = ", ".join(list(references.missing)[:5])
        draft.notes.append(f"change: references that lead nowhere in this document: {listed}")
    return draft


def _checked(document: object, path: Path) -> Node:
    root = as_node(document)
    if "swagger" in root:
        raise UsageError(
            f"{path} is Swagger {plain_text(root['swagger'])[:20]}; OpenAPI 3.0 and 3.1 are read",
            hint="convert it to OpenAPI 3 first: most editors and generators for OpenAPI do",
        )
    version = plain_text(root.get("openapi"))
    if not re.match(r"3(\.|$)", version):
        said = f"OpenAPI {version[:20]}" if version else "no OpenAPI document: the key `openapi` is missing"
        raise UsageError(f"{path} is {said}; OpenAPI 3.0 and 3.1 are read")
    if not isinstance(root.get("paths"), dict):
        raise UsageError(f"{path} has no `paths`: there is no operation to call")
    return root


def _address(document: Node, url: str | None) -> tuple[str, str, bool]:
    """The service's address, the path that all operations start with, and whether the address is only a guess."""
    server = as_node(next(iter(as_list(document.get("servers"))), None))
    said = plain_text(server.get("url"))[:500]
    for name, variable in as_node(server.get("variables")).items():
        said = said.replace(f"{{{name}}}", plain_text(as_node(variable).get("default")))
    parts = split_address(said)
    base = parts.path if parts else said.split("?")[0] if said.startswith("/") else ""
    if url is not None:
        given = split_address(url)
        if given is not None and given.path not in ("", "/"):
            return checked_url(origin(given)), given.path.rstrip("/"), False
        return checked_url(url), base.rstrip("/"), False
    return (origin(parts) if parts else _GUESS), base.rstrip("/"), parts is None


def _operations(document: Node, references: References, draft: Draft) -> Iterator[_Operation]:
    for path, value in as_node(document.get("paths")).items():
        if not path.startswith("/"):
            continue
        item = references.node(value)
        for key, operation in item.items():
            if key == "trace":
                draft.skip("TRACE operations")
            elif key in METHODS and isinstance(operation, dict):
                yield _Operation(key, path, references.node(operation), item)


def _finds(only: re.Pattern[str], operation: _Operation) -> bool:
    texts = [
        f"{operation.method.upper()} {operation.path}",
        plain_text(operation.node.get("operationId")),
        *operation.tags,
    ]
    return any(only.search(text) for text in texts)


def _is_health(operation: _Operation, request: DraftRequest) -> bool:
    plain = operation.method == "get" and "{" not in operation.path and not request.headers and "?" not in request.path
    return plain and _HEALTH.fullmatch(operation.path) is not None


def _request(operation: _Operation, document: Node, base: str, references: References, vault: Vault) -> DraftRequest:
    node, values = operation.node, Values(references)
    method = operation.method
    name = slug(plain_text(node.get("operationId")) or f"{method}-{operation.path}", method)
    request = DraftRequest(name, method, PlanText())
    summary = plain_text(node.get("summary") or node.get("description"))
    request.notes.append(f"{method.upper()} {operation.path}" + (f": {summary}" if summary else ""))
    if node.get("deprecated") is True:
        request.notes.append("deprecated")
    start = literal(quote(base, safe="/%:@!$&'()*+,;=~", errors="replace"))
    add_parameters(request, start, operation.path, [operation.item, node], values, references)
    security = node["security"] if "security" in node else document.get("security")
    schemes = as_node(document.get("components")).get("securitySchemes")
    secure(request, security, schemes, references, vault)
    schema_body(request, references.node(node.get("requestBody")), values, references)
    request.checks = _checks(as_node(node.get("responses")))
    request.notes += list(dict.fromkeys(values.notes))
    return request


def _checks(responses: Node) -> list[str]:
    """What the document declares as success; 3xx only where no 2xx is declared."""
    for digit in "23":
        if any(code.upper() == f"{digit}XX" for code in responses):
            return [f"status in {digit}00..{digit}99"]
        codes = sorted({code for code in responses if re.fullmatch(rf"{digit}[0-9]{{2}}", code)})
        if codes:
            return [f"status == {codes[0]}" if len(codes) == 1 else f"status in [{', '.join(codes)}]"]
    return ["status in 200..299"]

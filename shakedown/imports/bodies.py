"""The body of an OpenAPI operation, from its example or its schema."""

from shakedown.imports.draft import DraftRequest
from shakedown.imports.refs import Node, References, as_node
from shakedown.imports.text import PlanText, compose, fits_tree, is_header_text, literal
from shakedown.imports.values import ABSENT, Values, plain_text

__all__ = ["schema_body"]

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_BOUNDARY = "shakedown-boundary"


def schema_body(request: DraftRequest, body: Node, values: Values, references: References) -> None:
    """Give a request a body of the first kind that we can write: JSON, form, multipart, text."""
    content = {
        kind: references.node(media) for kind, media in as_node(body.get("content")).items() if is_header_text(kind)
    }
    if not content:
        return
    kind = min(content, key=_preference)
    media = content[kind]
    plain = kind.split(";")[0].strip().lower()
    if _is_json(plain):
        _json(request, kind, media, values, references)
    elif plain in (_FORM, _MULTIPART):
        schema = _merged(media, references)
        fields = as_node(schema.get("properties"))
        required = schema.get("required")
        names = [name for name in fields if not isinstance(required, list) or not required or name in required]
        made = {name: values.parameter(fields[name], name, escaped=False) for name in names}
        if plain == _FORM and made and fits_tree(dict(made)):
            request.kind, request.body = "form", made
        elif made:
            _multipart(request, made, fields, references)
        if not made:
            request.notes.append(f"change: write the {kind} body")
    else:
        given = _example_of(media, references)
        request.headers["Content-Type"] = literal(kind if "*" not in kind else "text/plain")
        request.kind, request.body = "body", literal(given if isinstance(given, str) else "text")
        if not isinstance(given, str):
            request.notes.append(f"change: write the {kind} body")


def _preference(kind: str) -> int:
    plain = kind.split(";", maxsplit=1)[0].strip().lower()
    if plain == "application/json":
        return 0
    return 1 if _is_json(plain) else 2 if plain == _FORM else 3 if plain == _MULTIPART else 4


def _is_json(plain: str) -> bool:
    return plain.endswith(("/json", "+json")) or plain in ("*/*", "application/*")


def _example_of(media: Node, references: References) -> object:
    """The media type's own example; `ABSENT` without one."""
    if "example" in media:
        return media["example"]
    for example in as_node(media.get("examples")).values():
        node = references.node(example)
        if "value" in node:
            return node["value"]
    return ABSENT


def _merged(media: Node, references: References) -> Node:
    return references.node(media.get("schema"))


def _json(request: DraftRequest, kind: str, media: Node, values: Values, references: References) -> None:
    given = _example_of(media, references)
    data = values.example(given) if given is not ABSENT else values.data(media.get("schema", {}))
    if data is ABSENT or not fits_tree(data):
        request.notes.append("change: no JSON body could be made from the schema; write it")
        data = {}
    request.kind, request.body = "json", data
    if kind.lower() != "application/json" and "*" not in kind:
        request.headers["Content-Type"] = literal(kind)


def _multipart(request: DraftRequest, made: dict[str, PlanText], fields: Node, references: References) -> None:
    pieces: list[str] = []
    for name, value in made.items():
        quoted = plain_text(name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        pieces.append(f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{quoted}"')
        if references.node(fields[name]).get("format") == "binary":
            pieces.append('; filename="file.txt"\r\nContent-Type: text/plain')
        pieces += ["\r\n\r\n", value, "\r\n"]
    request.kind, request.body = "body", compose(*pieces, f"--{_BOUNDARY}--\r\n")
    request.headers["Content-Type"] = literal(f"{_MULTIPART}; boundary={_BOUNDARY}")

"""The parts of a recorded request as parts of a plan: path, headers, body."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, urlencode

from shakedown.imports.draft import DraftRequest
from shakedown.imports.shell import VARIABLE
from shakedown.imports.text import PlainText, PlanText, compose, fits_tree, literal_tree, load_exact, whole
from shakedown.imports.vault import Vault, is_secret_name
from shakedown.plan.templates import is_constant

__all__ = ["LARGEST_BODY", "clean_headers", "multipart", "plan_headers", "plan_path", "set_body"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What stands for itself in a request line; a browser leaves much more unescaped than the standards do.
_IN_PATH = "".join(map(chr, range(0x21, 0x7F)))
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te"})
_DEEPEST_HIDDEN = 100
LARGEST_BODY = 100_000  # letters; a plan is read by people, and its YAML by a parser in Python


def plan_path(target: str, vault: Vault) -> PlanText:
    """Path and query of an address (no scheme, no host) as a plan's path; what no request line holds is escaped."""
    safe = _IN_PATH + ("\0" if vault.marks else "")
    text = quote(target.split("#", 1)[0], safe=safe, errors="replace")
    return vault.text(text if text.startswith("/") else f"/{text}")


def clean_headers(pairs: Iterable[tuple[str, str]], *, marks: bool = False) -> dict[str, str]:
    """Headers that can be sent, one for each name; those that belong to the connection are left to the sender."""
    found: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, text in pairs:
        lower = name.lower()
        value = text.strip(" \t")
        if (
            lower in _OWN_HEADERS
            or not _TOKEN.fullmatch(name)
            or _CONTROL.search(VARIABLE.sub("", value) if marks else value)
        ):
            continue
        if lower in names:
            known = names[lower]
            found[known] += f"{'; ' if lower == 'cookie' else ', '}{value}"
        else:
            names[lower] = name
            found[name] = value
    return found


def plan_headers(headers: dict[str, str], vault: Vault) -> dict[str, PlanText]:
    """Headers as plan text, secrets replaced by variables."""
    return {name: vault.header(name, value) or vault.text(value) for name, value in headers.items()}


def set_body(request: DraftRequest, text: str, vault: Vault, mime: str | None = None) -> None:
    """Give a request its body: as `json` or `form` where that sends the same, else as `body`, letter for letter.

    Args:
        request: its `Content-Type` header goes when the sender writes the same one by itself.
        mime: the content type; by default what the header says.
    """
    if not text:
        return
    key = next((name for name in request.headers if name.lower() == "content-type"), None)
    said = (mime if mime is not None else str(request.headers[key]) if key else "").strip()
    kind = said.split(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            tree = _hidden(load_exact(text), vault)
        except ValueError:
            tree = None
        if fits_tree(tree):
            request.kind, request.body = "json", literal_tree(tree)
    elif kind == "application/x-www-form-urlencoded" and (form := _form(text, vault)):
        request.kind, request.body = "form", form
    if not request.kind:
        request.kind, request.body = "body", vault.text(text)
        if not whole(text):
            request.notes.append("change: the recorded body held halves of characters; they are U+FFFD here")
    own = {"json": "application/json", "form": "application/x-www-form-urlencoded"}.get(request.kind)
    if own is not None and said.lower() == own:
        if key is not None:
            del request.headers[key]
    elif key is None and said:
        request.headers["Content-Type"] = compose(said)


def _hidden(value: object, vault: Vault, depth: int = 0) -> object:
    """JSON data with the values of secret fields replaced by variables."""
    if depth > _DEEPEST_HIDDEN:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {
            key: _secret_field(key, item, vault) if is_secret_name(key) else _hidden(item, vault, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_hidden(item, vault, depth + 1) for item in value]
    return vault.text(value) if isinstance(value, str) and whole(value) else value


def _secret_field(name: str, value: object, vault: Vault) -> object:
    if isinstance(value, str) and value:
        return vault.variable(name, value, f"the field `{name}` of a body")
    if isinstance(value, int | float) and not isinstance(value, bool):
        note = f"the field `{name}` of a body, a number"
        return PlainText(vault.variable(name, repr(value), note, default="0"))
    return _hidden(value, vault)


def _form(text: str, vault: Vault) -> dict[str, PlanText] | None:
    """A form's fields, if writing them again gives the same text."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=1000)
    except ValueError:
        return None
    fields = dict(pairs)
    if len(fields) != len(pairs) or urlencode(fields) != text or not all(map(is_constant, fields)):
        return None
    return {
        name: vault.variable(name, value, f"the form field `{name}`")
        if value and is_secret_name(name)
        else vault.text(value)
        for name, value in fields.items()
    }


def multipart(parts: Iterable[tuple[str, str, str | None, str | None]]) -> tuple[str, str]:
    """A multipart/form-data body and its content type.

    Args:
        parts: name, value, file name, content type.
    """
    listed = list(parts)
    boundary = "shakedown-boundary"
    while any(boundary in value for _, value, _, _ in listed):
        boundary += "-x"
    lines: list[str] = []
    for name, value, filename, kind in listed:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_in_quotes(name)}"'
        if filename is not None:
            head += f'; filename="{_in_quotes(filename)}"'
        if kind:
            head += f"\r\nContent-Type: {_CONTROL.sub('', kind)}"
        lines.append(f"{head}\r\n\r\n{value}\r\n")
    return "".join(lines) + f"--{boundary}--\r\n", f"multipart/form-data; boundary={boundary}"


def _in_quotes(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")

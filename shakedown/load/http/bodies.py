"""Bodies compiled once: what is constant is made bytes beforehand, what is a template is rendered per request."""

import json
import mimetypes
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from shakedown.errors import LoadError
from shakedown.plan.requests import FilePart, Request
from shakedown.plan.templates import as_value, environment, is_constant

__all__ = ["Body", "Names", "compile_text"]

Names = dict[str, object]
Render = Callable[[Names], Any]
_TEMPLATES = environment()
BOUNDARY = "shakedown-5d1f0a9c27e84b36a1c04f77"
FILES_KEPT = 64


def compile_text(text: str) -> Callable[[Names], str]:
    """A text or template as a function of the names."""
    if is_constant(text):
        return lambda _: text
    template = _TEMPLATES.from_string(text)
    render, context = template.root_render_func, template.new_context
    # As `template.render` does it, but for the copies of all names that each call would make: they cost more than the
    # rendering. So the names must hold Jinja's own functions too; `Context.names` sees to that.
    return lambda names: "".join(render(context(names, shared=True)))


def _member(text: str) -> Render:
    """A text inside JSON; one that says it is a number becomes one."""
    if not is_constant(text) and (value := as_value(text)) is not None:
        return lambda names: value(**names)
    return compile_text(text)


def _tree(value: object) -> Render:
    """A JSON value whose texts are templates, as a function of the names."""
    if isinstance(value, str):
        return _member(value)
    if isinstance(value, dict):
        members = {key: _tree(item) for key, item in value.items()}
        return lambda names: {key: render(names) for key, render in members.items()}
    if isinstance(value, list):
        items = [_tree(item) for item in value]
        return lambda names: [render(names) for render in items]
    return lambda _: value


class Files:
    """Files that requests send: each read once, and kept.

    Args:
        base: the folder that paths start from. What templates give must lie inside of it.
    """

    def __init__(self, base: Path) -> None:
        self._base = base.resolve()
        self._inside = lru_cache(maxsize=FILES_KEPT)(self._read_inside)

    def read(self, name: str) -> bytes:
        """A file that the plan names.

        Raises:
            LoadError: it cannot be read.
        """
        try:
            return (self._base / name).read_bytes()
        except (OSError, ValueError) as error:
            raise LoadError(f"the file {name} cannot be read: {error}") from error

    def _read_inside(self, name: str) -> bytes:
        path = (self._base / name).resolve()
        if not path.is_relative_to(self._base):
            raise LoadError(f"the file {name} lies outside of the plan's folder")
        return self.read(name)

    def reader(self, name: str) -> Callable[[Names], tuple[str, bytes]]:
        """Name and contents of a file, whose name may be a template."""
        if is_constant(name):
            kept = (Path(name).name, self.read(name))
            return lambda _: kept
        render = compile_text(name)

        def read(names: Names) -> tuple[str, bytes]:
            rendered = render(names)
            return Path(rendered).name, self._inside(rendered)

        return read


class Body:
    """The body of a request.

    Attributes:
        content_type: what the request says of it, unless the plan says otherwise; None for no body.
        templates: the texts in it that may be templates.
    """

    def __init__(self, request: Request, base: Path) -> None:
        files = Files(base)
        self.content_type: str | None = None
        self.templates: list[str] = []
        self._value: Render | None = None  # of JSON and forms, whose members a ledger's key can use
        self._encode: Callable[[Any], bytes] = bytes
        if request.json_ is not None:
            self._value, self.content_type = _tree(request.json_), "application/json"
            self._encode = lambda value: json.dumps(value, ensure_ascii=False, default=_no_json).encode()
            self.templates = [json.dumps(request.json_, ensure_ascii=False)]
        elif request.form is not None:
            fields = {key: compile_text(text) for key, text in request.form.items()}
            self._value = lambda names: {key: render(names) for key, render in fields.items()}
            self._encode = lambda value: urlencode(value).encode()
            self.content_type, self.templates = "application/x-www-form-urlencoded", list(request.form.values())
        elif request.multipart is not None:
            self._value = _multipart(request.multipart, files)
            self.content_type = f"multipart/form-data; boundary={BOUNDARY}"
            self.templates = [part if isinstance(part, str) else part.file for part in request.multipart.values()]
        elif request.file is not None:
            read = files.reader(request.file)
            self._value = lambda names: read(names)[1]
            self.content_type = mimetypes.guess_type(request.file)[0] or "application/octet-stream"
            self.templates = [request.file]
        elif request.body is not None:
            self._value = compile_text(request.body)
            self._encode = lambda value: value.encode()
            self.content_type, self.templates = "text/plain; charset=utf-8", [request.body]

    def render(self, names: Names) -> tuple[Any, bytes]:
        """Its value, and its bytes."""
        if self._value is None:
            return None, b""
        value = self._value(names)
        return value, self._encode(value)


def _no_json(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r}")


def _multipart(parts: dict[str, str | FilePart], files: Files) -> Render:
    """Fields and files as multipart/form-data (RFC 7578)."""
    made: list[Callable[[Names], tuple[str, bytes]]] = []
    for name, part in parts.items():
        field = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(part, str):
            made.append(_field_part(field, compile_text(part)))
        else:
            made.append(_file_part(field, part, files.reader(part.file)))

    def render(names: Names) -> bytes:
        chunks: list[bytes] = []
        for one in made:
            head, content = one(names)
            if BOUNDARY.encode() in content:
                raise ValueError("a part of a multipart body holds the line that separates the parts")
            chunks += (f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode(), content, b"\r\n")
        return b"".join((*chunks, f"--{BOUNDARY}--\r\n".encode()))

    return render


def _field_part(head: str, render: Callable[[Names], str]) -> Callable[[Names], tuple[str, bytes]]:
    return lambda names: (head, render(names).encode())


def _file_part(
    head: str, part: FilePart, read: Callable[[Names], tuple[str, bytes]]
) -> Callable[[Names], tuple[str, bytes]]:
    def render(names: Names) -> tuple[str, bytes]:
        name, content = read(names)
        name = part.filename or name
        kind = part.type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return f'{head}; filename="{_quoted(name)}"\r\nContent-Type: {kind}', content

    return render


def _quoted(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")

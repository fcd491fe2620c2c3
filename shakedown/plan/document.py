"""YAML as data that still knows its places: every key path has a line and a column."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from shakedown.errors import PlanProblem

__all__ = ["Document", "Path", "Place", "parse_document", "show_path"]

Path = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_]\w*)(?P<default>:-(?P<value>[^}]*))?\})")


@dataclass(frozen=True, slots=True)
class Place:
    """A 1-based line and column."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A parsed file.

    Attributes:
        data: mappings, lists and scalars.
        places: where each key path's key (or list item) stands.
        problems: what is wrong with the text itself.
    """

    file: str
    data: object = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[PlanProblem] = field(default_factory=list)

    def place(self, path: Path) -> Place | None:
        """The place of a path, or of the nearest thing around it that has one."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1]
        return self.places.get(())

    def problem(self, path: Path, message: str, hint: str | None = None) -> PlanProblem:
        """A problem at a path."""
        place = self.place(path)
        return PlanProblem(
            message=message,
            key=show_path(path),
            file=self.file,
            line=place.line if place else None,
            column=place.column if place else None,
            hint=hint,
        )


def show_path(path: Path) -> str:
    """`stages.stress.parallel.0.rate`."""
    return ".".join(str(step) for step in path)


def parse_document(text: str, file: str, environ: Mapping[str, str]) -> Document:
    """Read YAML with its places, and put the environment's variables in.

    `${NAME}` and `${NAME:-default}` are replaced in every value; `$$` is a dollar sign. A plain scalar that held a
    variable gets its type anew, so that `${RATE:-50}` is a number.
    """
    document = Document(file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "YAML is indented with spaces, never with tabs" if "\\t" in (error.problem or "") else None
        document.problems.append(
            PlanProblem(
                message=f"not YAML: {error.problem or error.context}",
                file=file,
                line=mark.line + 1 if mark else None,
                column=mark.column + 1 if mark else None,
                hint=hint,
            )
        )
        return document
    except yaml.YAMLError as error:
        document.problems.append(PlanProblem(message=f"not YAML: {error}", file=file))
        return document
    if node is None:
        document.problems.append(
            PlanProblem(message="the plan is empty", file=file, hint="`shakedown init` writes one to begin with")
        )
        return document
    document.data = _Builder(document, environ).build(node, ())
    return document


class _Builder:
    """Turns a node tree into data, noting places and problems."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._constructor = yaml.SafeLoader("")

    def build(self, node: yaml.Node, path: Path) -> object:
        self._document.places.setdefault(path, Place(node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        result: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in parts:
                    built = self.build(part, path)
                    if isinstance(built, dict):
                        merged = {**built, **merged}
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in result:
                self._document.places[here] = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
                self._document.problems.append(
                    self._document.problem(here, f"the key `{key}` stands twice", "keep one of the two")
                )
            self._document.places[here] = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.build(value_node, here)
        return {**merged, **result}

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        text = str(node.value)
        if "$" not in text:
            return self._construct(node)
        replaced = _VARIABLE.sub(lambda match: self._variable(match, path), text)
        if getattr(node, "style", None) is None and replaced != text:  # plain: the type is that of the new text
            tag: str = self._constructor.resolve(yaml.ScalarNode, replaced, (True, False))  # type: ignore[no-untyped-call]
            return self._construct(yaml.ScalarNode(tag, replaced))
        return replaced

    def _construct(self, node: yaml.Node) -> object:
        if node.tag == "tag:yaml.org,2002:timestamp":  # a date is a text to us
            return str(node.value)
        try:
            return self._constructor.construct_object(node, deep=True)
        except yaml.YAMLError:
            return str(node.value)

    def _variable(self, match: re.Match[str], path: Path) -> str:
        name = match["name"]
        if name is None:
            return "$"
        if name in self._environ and (self._environ[name] or not match["default"]):
            return self._environ[name]
        if match["default"]:
            return match["value"] or ""
        self._document.problems.append(
            self._document.problem(
                path,
                f"the environment variable {name} is not set",
                f"set it, or give a default: ${{{name}:-value}}",
            )
        )
        return ""

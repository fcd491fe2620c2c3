"""YAML as data that still knows its places: every key path has a line and a column."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from shakedown.errors import PlanProblem

__all__ = ["Document", "Path", "Place", "parse_document", "parse_value", "show_path"]

Path = tuple[str | int, ...]
_VARIABLE = re.compile(
    r"\$(?:\$|\{(?P<name>[A-Za-z_]\w*)(?P<default>:-(?P<value>(?:[^}$]|\$(?!\{))*))?\}|(?P<wrong>\{[^}]*\}?))"
)
# A variable's value becomes a number only where that loses nothing: 0123, 1_000 and 1.10 stay texts (of a password, say).
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.(\d{0,14}[1-9]|0))?")
# No plan nests or grows like this; an anchor inside itself, or ten layers of ten aliases, does.
_DEEPEST = 60
_MOST_VALUES = 200_000


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
        variables: the environment's variables that were put in, by name.
    """

    file: str
    data: object = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[PlanProblem] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

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


def parse_document(text: str, file: str, environ: Mapping[str, str] | None) -> Document:
    """Read YAML with its places, and put the environment's variables in.

    `${NAME}` and `${NAME:-default}` are replaced in every value; `$$` is a dollar sign. A plain scalar that held a
    variable gets its type anew, so that `${RATE:-50}` is a number. Without an environment, `$` has no meaning.
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
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        column = error.position - (before.rfind("\n") + 1) + 1
        message = f"not YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        document.problems.append(PlanProblem(message, file=file, line=before.count("\n") + 1, column=column))
        return document
    except RecursionError:
        document.problems.append(PlanProblem(f"nested too deep; at most {_DEEPEST} levels are allowed", file=file))
        return document
    if node is None:
        document.problems.append(
            PlanProblem(message="the plan is empty", file=file, hint="`shakedown init` writes one to begin with")
        )
        return document
    try:
        document.data = _Builder(document, environ).build(node, ())
    except _TooMuchError as error:
        document.problems.append(document.problem(error.path, error.message))
    return document


def parse_value(text: str) -> object:
    """The value of an override: YAML in which `$` has no meaning.

    Raises:
        ValueError: it is not YAML, or no value of a plan.
    """
    document = Document("--set")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = _Builder(document, None).build(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        raise ValueError(str(error.problem or error.context)) from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    except _TooMuchError as error:
        raise ValueError(error.message) from None
    if document.problems:
        raise ValueError(document.problems[0].message)
    return value


class _TooMuchError(Exception):
    """A document that cannot be unfolded."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class _Builder:
    """Turns a node tree into data, noting places and problems; without an environment, `$` has no meaning."""

    def __init__(self, document: Document, environ: Mapping[str, str] | None) -> None:
        self._document = document
        self._environ = environ
        self._constructor = yaml.SafeLoader("")
        self._open: set[int] = set()
        self._built = 0

    def build(self, node: yaml.Node, path: Path) -> object:
        self._built += 1
        if id(node) in self._open:
            raise _TooMuchError(path, "an anchor (&) contains itself (*)")
        if len(path) > _DEEPEST:
            raise _TooMuchError(path[:1], f"nested too deep; at most {_DEEPEST} levels are allowed")
        if self._built > _MOST_VALUES:
            raise _TooMuchError(path[:1], f"more than {_MOST_VALUES} values, aliases unfolded")
        self._open.add(id(node))
        try:
            return self._build(node, path)
        finally:
            self._open.discard(id(node))

    def _build(self, node: yaml.Node, path: Path) -> object:
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
                    else:
                        self._document.problems.append(
                            self._document.problem(path, "`<<` merges mappings alone", "give it an alias of a mapping")
                        )
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.problems.append(self._document.problem(path, "a key must be a plain text"))
                continue
            key = self._clean(str(key_node.value), path)
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
        if self._environ is None or "$" not in text:
            return self._construct(node, path)
        replaced = _VARIABLE.sub(lambda match: self._variable(match, path), text)
        if getattr(node, "style", None) is None and replaced != text:  # plain: the type is that of the new text
            tag: str = self._constructor.resolve(yaml.ScalarNode, replaced, (True, False))  # type: ignore[no-untyped-call]
            exact = tag.rpartition(":")[2] not in ("int", "float", "bool") or replaced in ("true", "false")
            if exact or _NUMBER.fullmatch(replaced):
                return self._construct(yaml.ScalarNode(tag, replaced), path)
        return self._clean(replaced, path)

    def _construct(self, node: yaml.Node, path: Path) -> object:
        """A scalar's value; what is no text, number, truth value or null (a date, say) is a text to us."""
        try:
            value = self._constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, LookupError, AttributeError):
            value = None if node.value is None else str(node.value)
        if value is None or isinstance(value, int | float):
            return value
        return self._clean(value if isinstance(value, str) else str(node.value), path)

    def _clean(self, text: str, path: Path) -> str:
        """The text, without what no file or socket could carry."""
        if not any("\ud800" <= letter <= "\udfff" for letter in text):
            return text
        self._document.problems.append(self._document.problem(path, "a text holds half of a character (a surrogate)"))
        return text.encode("utf-8", "replace").decode()

    def _variable(self, match: re.Match[str], path: Path) -> str:
        name = match["name"]
        if match["wrong"] is not None:
            hint = "a dollar sign that means itself is written $$; variables do not stand inside variables"
            message = f"not a variable: `${match['wrong']}`; write ${{NAME}} or ${{NAME:-default}}"
            self._document.problems.append(self._document.problem(path, message, hint))
            return ""
        if name is None:
            return "$"
        environ = self._environ or {}
        if name in environ and (environ[name] or not match["default"]):
            self._document.variables[name] = environ[name]
            return environ[name]
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

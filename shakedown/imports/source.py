"""Reading what a user names: bounded in size, in any Unicode encoding, JSON or YAML, one clear sentence if it is neither."""

import codecs
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from shakedown.errors import UsageError

if TYPE_CHECKING:
    from yaml import SafeLoader as _Loader
else:  # the parser in C is ten times as fast, where PyYAML has it
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

__all__ = ["compile_only", "read_json", "read_json_or_yaml", "read_text"]

_LARGEST_JSON = 200 * 10**6
_LARGEST_YAML = 10 * 10**6
_DEEPEST_YAML = 200
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def read_text(path: Path, largest: int = _LARGEST_JSON) -> str:
    """A file's text: UTF-8, or UTF-16 and UTF-32 with their mark.

    Raises:
        UsageError: it is not there, cannot be read, is larger than `largest` bytes, or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > largest:
        raise UsageError(f"{path} is larger than {largest // 10**6} MB", hint="cut it down to the part that is needed")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not {encoding.upper()} at byte {error.start}", hint="save it as UTF-8") from None
    if not text.strip():
        raise UsageError(f"{path} is empty")
    return text


def read_json(path: Path) -> object:
    """A JSON document.

    Raises:
        UsageError: it cannot be read, or is no JSON.
    """
    return _json(read_text(path), path)


def read_json_or_yaml(path: Path) -> object:
    """A document in JSON, or in YAML as version 1.2 reads it (`no` is a text, a date is a text).

    Raises:
        UsageError: it cannot be read, or is neither.
    """
    text = read_text(path)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _json(text, path)
        except UsageError:
            if len(text) > _LARGEST_YAML or path.suffix.lower() == ".json":
                raise
    if len(text) > _LARGEST_YAML:
        raise UsageError(f"{path} is larger than {_LARGEST_YAML // 10**6} MB of YAML", hint="JSON may be larger")
    try:
        _check_depth(text, path)
        loaded: object = yaml.load(text, Loader=_Yaml12)  # noqa: S506 - a SafeLoader with fewer types
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path}: neither JSON nor YAML: {error.problem or error.context}{place}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deep") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UsageError(f"{path}: neither JSON nor YAML: {str(error).splitlines()[0][:200]}") from None
    return loaded


def _check_depth(text: str, path: Path) -> None:
    """Refuse what is nested so deep that building it, which recurses in C, would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST_YAML:
                raise UsageError(f"{path} is nested too deep; at most {_DEEPEST_YAML} levels are read")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _json(text: str, path: Path) -> object:
    try:
        loaded: object = json.loads(text)
    except json.JSONDecodeError as error:
        cut = "; the file seems to be cut off" if error.pos >= len(text.rstrip()) - 1 else ""
        message = f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}{cut}"
        raise UsageError(message) from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deep") from None
    except ValueError as error:  # a number of more than 4300 digits
        raise UsageError(f"{path}: not JSON: {error}") from None
    return loaded


class _Yaml12(_Loader):
    """YAML with the types of JSON alone."""


_Yaml12.yaml_implicit_resolvers = {}
_PLAIN_TYPES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)", "-+.0123456789"),
    ("merge", r"<<", "<"),
)
for _tag, _pattern, _first in _PLAIN_TYPES:
    _letters = ["" if letter == "\0" else letter for letter in _first]
    _Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _letters)


def compile_only(only: str | None) -> re.Pattern[str] | None:
    """The regular expression of `--only`.

    Raises:
        UsageError: it is none.
    """
    if only is None:
        return None
    try:
        return re.compile(only, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--only is no regular expression: {only!r}: {error}") from None

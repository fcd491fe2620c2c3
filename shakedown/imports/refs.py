"""References inside an OpenAPI document, followed without ever going round in circles."""

from urllib.parse import unquote

__all__ = ["Node", "References", "as_list", "as_node"]

Node = dict[str, object]
_LONGEST_CHAIN = 50


def as_node(value: object) -> Node:
    """A mapping with texts as keys; anything else is an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """A list; anything else is an empty one."""
    return value if isinstance(value, list) else []


class References:
    """Looks up `$ref` within one document.

    Attributes:
        missing: references that lead nowhere, or out of the document.
    """

    def __init__(self, document: Node) -> None:
        self._document = document
        self.missing: dict[str, None] = {}

    def follow(self, value: object) -> tuple[Node, frozenset[str]]:
        """A node with its chain of references followed, and the references on the way; siblings of `$ref` win."""
        node = as_node(value)
        seen: list[str] = []
        siblings: Node = {}
        while isinstance(reference := node.get("$ref"), str):
            siblings = {**{key: item for key, item in node.items() if key != "$ref"}, **siblings}
            if reference in seen or len(seen) > _LONGEST_CHAIN:
                return siblings, frozenset(seen)
            seen.append(reference)
            node = as_node(self._at(reference))
        return {**node, **siblings}, frozenset(seen)

    def node(self, value: object) -> Node:
        """As `follow`, the node alone."""
        return self.follow(value)[0]

    def _at(self, reference: str) -> object:
        current: object = self._document
        if not reference.startswith("#"):
            self.missing[reference] = None
            return {}
        for raw in reference[1:].split("/")[1:]:
            step = unquote(raw).replace("~1", "/").replace("~0", "~")
            if isinstance(current, dict) and step in current:
                current = current[step]
            elif isinstance(current, dict) and step.isdecimal() and len(step) < 10 and int(step) in current:
                current = current[int(step)]  # YAML reads the key 200 as a number
            elif isinstance(current, list) and step.isdecimal() and len(step) < 10 and int(step) < len(current):
                current = current[int(step)]
            else:
                self.missing[reference] = None
                return {}
        return current

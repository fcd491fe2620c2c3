"""What a part of a plan tests: rows of the user's own list of scenarios, requirements or risks, by their ids."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

__all__ = ["Covers"]

_ID = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,31}$"


def _ids(ids: list[str]) -> list[str]:
    """Each is an id, and stands once."""
    for one in ids:
        if not re.fullmatch(_ID.strip("^$"), one):
            raise ValueError(f"`{one}` is no id such as N15: letters, digits and . _ / -, at most 32 of them")
        if ids.count(one) > 1:
            raise ValueError(f"`{one}` stands twice; each id is named once")
    return ids


Covers = Annotated[
    list[Annotated[str, Field(json_schema_extra={"pattern": _ID})]],
    AfterValidator(_ids),
    Field(description="ids of the rows that this tests, of a list of one's own; the report gives each row its verdict"),
]

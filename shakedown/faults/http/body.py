"""http-body: other bodies, or another text in them."""

import re
from typing import Any

from shakedown.faults.http.requests import HttpProxyFault
from shakedown.plan.faults.http import HttpBody

__all__ = ["BodyFault"]


class BodyFault(HttpProxyFault[HttpBody]):
    """The fault."""

    act = "body"

    @property
    def does(self) -> str:
        """For the report."""
        return (
            "another body" if self.plan.body is not None else f"another text for {self.plan.text or self.plan.regex!r}"
        )

    def act_parameters(self) -> dict[str, Any]:
        """The body, or the text and what it is replaced by: always as a regular expression and its replacement."""
        plan = self.plan
        if plan.regex:
            return {"body": None, "pattern": plan.regex, "replacement": plan.replacement}
        literal = plan.replacement.replace("\\", r"\\")
        return {"body": plan.body, "pattern": re.escape(plan.text), "replacement": literal}

"""What every operation is, and words that several use."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Operation", "shown"]


class Operation(BaseModel):
    """Data alone; the module that has the class knows how to carry it out."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def shown(command: list[str]) -> str:
    """A command as it is shown; a script's first line stands for all of it."""
    return " ".join(part.strip().partition("\n")[0][:80] for part in command)

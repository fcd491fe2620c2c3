"""What an importer finds: a draft of a plan, before it becomes text."""

from dataclasses import dataclass, field

from shakedown.imports.text import PlanText

__all__ = ["Draft", "DraftRequest", "ImportOptions"]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user asks of an import.

    Attributes:
        url: the service's address, instead of what the source says.
        only: a regular expression; only requests whose method and path, name or tag it finds are taken.
        host: of a recording, only the requests of this host.
        all_methods: DELETE requests too are written as requests, not as comments.
        static: of a recording, keep pictures, scripts, fonts and style sheets.
        allow: say `allow: true` of a host that is not this machine.
        limit: most requests that are written.
    """

    url: str | None = None
    only: str | None = None
    host: str | None = None
    all_methods: bool = False
    static: bool = False
    allow: bool = False
    limit: int = 100


@dataclass(slots=True)
class DraftRequest:
    """One request, its texts already plan text.

    Attributes:
        notes: comments above it.
        off: why it is written as comments only; None: it is a request of the plan.
        size: letters of the recorded body.
        body: what `json`, `body` or `form` has; `kind` says which; None is no body.
    """

    name: str
    method: str
    path: PlanText
    headers: dict[str, PlanText] = field(default_factory=dict)
    kind: str = ""
    body: object = None
    timeout: str | None = None
    checks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    off: str | None = None
    size: int = 0


@dataclass(slots=True)
class Draft:
    """A plan to be.

    Attributes:
        title: what it is called; any text.
        origin: how it came to be, for the first comment.
        url: scheme, host and port of the service.
        guessed: whether `url` is only a guess that the user must replace.
        health: a path that answers 2xx without further ado, if one is known.
        scenario: the scenario's name.
        mode: `sequence` or `weighted`.
        variables: the variables to be set, each with what it stands for.
        notes: comments for the head of the file.
        skipped: what was left out and why, with how often.
    """

    title: str
    origin: str
    url: str
    scenario: str
    mode: str
    requests: list[DraftRequest]
    guessed: bool = False
    health: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, why: str) -> None:
        """Count one thing that was left out."""
        self.skipped[why] = self.skipped.get(why, 0) + 1

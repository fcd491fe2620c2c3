"""From a draft to the text of a plan: comments by us, every value through PyYAML's safe dumper."""

import re
from urllib.parse import urlsplit

import yaml

from shakedown.errors import UsageError
from shakedown.imports.draft import Draft, DraftRequest
from shakedown.imports.text import PlainText, PlanText, comment, slug
from shakedown.plan.hosts import is_loopback

__all__ = ["write_plan"]

_PLAIN = re.compile(r"[\x20-\x7e\u00a1-\u024f]*")
_WIDTH = 1 << 20  # one line per value: comments and indentation stay simple
_GENTLE = 5.0
_UNNAMED = "imported"


class _Dumper(yaml.SafeDumper):
    """The safe dumper; what is not plain text, or holds a variable, stands in double quotes on one line."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - a plan is read by people: nothing is `*id001`
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    if isinstance(value, PlainText):
        return yaml.ScalarNode("tag:yaml.org,2002:int", str(value))
    quoted = "$" in value or _PLAIN.fullmatch(value) is None
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style='"' if quoted else None)


for _kind in (str, PlanText, PlainText):
    _Dumper.add_representer(_kind, _text)


def _dump(value: object, indent: int = 0) -> list[str]:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=None)
    return [" " * indent + line for line in text.splitlines()]


def _value(value: object) -> str:
    """A value on one line, as it stands behind a key."""
    text = yaml.dump(
        {"k": value}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=True
    )
    return text.strip()[1:-1].removeprefix("k: ")


def write_plan(draft: Draft, *, allow: bool) -> str:
    """The plan's text. Unless the service is on another machine and `allow` is false, it is valid as it is.

    Raises:
        UsageError: no request is left that would be sent.
    """
    if not any(request.off is None for request in draft.requests):
        left = "; ".join(f"{count} {why}" for why, count in draft.skipped.items())
        if draft.requests:
            left = f"{len(draft.requests)} DELETE requests (--all-methods writes them)" + (f"; {left}" if left else "")
        raise UsageError("no request is left to be written" + (f"; left out: {left}" if left else ""))
    common = _common_headers(draft.requests)
    lines = [*_head(draft), "version: 1", f"name: {_value(slug(draft.title, _UNNAMED))}", ""]
    lines += [*_services(draft, allow=allow), ""]
    lines += [*_scenario(draft, common), ""]
    lines += _stages(draft.scenario, _rate(draft))
    return "\n".join(lines) + "\n"


def _head(draft: Draft) -> list[str]:
    lines = [
        f"# A first plan, {comment(draft.origin)}.",
        "# Read it, change what is marked `change`, then: shakedown validate THIS-FILE; shakedown run THIS-FILE",
    ]
    if draft.variables:
        lines.append("# Set these variables before a run (the values stay out of this file):")
        lines += [f"#   {name}: {comment(note)}" for name, note in draft.variables.items()]
    lines += [f"# {comment(note, 200)}" for note in draft.notes]
    if draft.skipped:
        lines.append("# Left out: " + "; ".join(f"{count} {comment(why)}" for why, count in draft.skipped.items()))
    return lines


def _services(draft: Draft, *, allow: bool) -> list[str]:
    host = urlsplit(draft.url).hostname or ""
    guess = "   # change: the source names no address" if draft.guessed else ""
    lines = ["services:", "  api:", f"    url: {_value(PlanText('${SERVICE_URL:-' + draft.url + '}'))}{guess}"]
    if not is_loopback(host) and allow:
        lines.append(
            "    allow: true             # this host is not this machine: load on it was allowed when this was written"
        )
    elif not is_loopback(host):
        lines += [
            f"    # change: {comment(host)} is not this machine. If it is yours and may be loaded, say so:",
            "    # allow: true",
        ]
    if draft.health is not None:
        lines.append(f"    health: {{http: {_value('http:' + draft.health.replace('$', '$$'))}}}")
    else:
        lines.append(
            '    # health: {http: "http:/health"}     # change: a path that answers 2xx when the service is well'
        )
    return lines


def _scenario(draft: Draft, common: dict[str, PlanText]) -> list[str]:
    lines = ["scenarios:", f"  {draft.scenario}:"]
    if draft.mode == "sequence":
        lines.append(
            "    # Each iteration sends the requests below one after another; `rate` is iterations per second."
        )
    else:
        lines.append("    # Each iteration sends one of the requests below, drawn by `weight` (1 unless given).")
    lines += [
        f"    executor: {{type: constant-arrival-rate, rate: {_rate(draft):g}, duration: 30s, max_vus: 50}}",
        "    http:",
        "      target: api.http",
        *([f"      mode: {draft.mode}"] if draft.mode != "sequence" else []),
    ]
    if common:
        lines += ["      headers:", *(f"        {_value(name)}: {_value(value)}" for name, value in common.items())]
    lines.append("      requests:")
    for request in draft.requests:
        lines += _request(request, common)
    return lines


def _request(request: DraftRequest, common: dict[str, PlanText]) -> list[str]:
    data: dict[str, object] = {"name": request.name, request.method: request.path}
    headers = {name: value for name, value in request.headers.items() if common.get(name) != value}
    if headers:
        data["headers"] = headers
    if request.kind:
        data[request.kind] = request.body
    if request.timeout is not None:
        data["timeout"] = request.timeout
    if request.checks:
        data["checks"] = request.checks
    lines = [f"        # {comment(note, 200)}" for note in request.notes]
    dumped = _dump([data], 8)
    if request.off is not None:
        lines.append(f"        # {comment(request.off, 200)}")
        return [*lines, *(f"        # {line[8:]}" for line in dumped)]
    return [*lines, *dumped]


def _common_headers(requests: list[DraftRequest]) -> dict[str, PlanText]:
    """Headers that all of several requests have alike; they stand once, at the scenario."""
    if len(requests) < 2:
        return {}
    first, *others = [request for request in requests if request.off is None]
    return {
        name: value
        for name, value in first.headers.items()
        if name.lower() != "content-type" and all(other.headers.get(name) == value for other in others)
    }


def _rate(draft: Draft) -> float:
    """Iterations per second that make about five requests per second: gentle, and enough for a p95 within 15 s."""
    sent = sum(request.off is None for request in draft.requests)
    return max(0.2, round(_GENTLE / sent, 1)) if draft.mode == "sequence" else _GENTLE


def _stages(scenario: str, rate: float) -> list[str]:
    return [
        "stages:",
        "  baseline:                              # is it well, quietly? If not, the run stops here",
        f"    scenarios: [{{use: {scenario}, rate: {rate:g}, duration: 30s}}]",
        f"    thresholds: [{scenario}.p95 < 1s, {scenario}.error_rate < 1%]",
        "  stress:                                # change: the load that it has to bear",
        f"    parallel: [{{use: {scenario}, rate: {4 * rate:g}, duration: 30s}}]",
        f"    thresholds: [{scenario}.p95 < 2s, {scenario}.error_rate < 5%]",
        "  # endurance, faults and recovery: see the README",
        "",
        "profiles:",
        "  smoke:",
        "    scale: {duration: 0.5}",
    ]

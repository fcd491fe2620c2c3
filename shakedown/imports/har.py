"""A browser's recording (HAR 1.2) as a plan: the requests of one host, in their order."""

import base64
import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit

from shakedown.errors import UsageError
from shakedown.imports.addresses import checked_url, origin, split_address, target_of
from shakedown.imports.draft import Draft, DraftRequest, ImportOptions
from shakedown.imports.parts import LARGEST_BODY, clean_headers, multipart, plan_headers, plan_path, set_body
from shakedown.imports.source import compile_only, read_json
from shakedown.imports.text import unique
from shakedown.imports.vault import Vault, name_for
from shakedown.plan.scenarios import METHODS
from shakedown.units import format_duration

__all__ = ["import_har"]

_STATIC_KINDS = frozenset({"image", "font", "stylesheet", "script", "media", "manifest", "texttrack", "ping"})
_STATIC_TYPES = ("image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript",
                 "application/x-javascript", "application/font", "application/wasm")  # fmt: skip
_STATIC_ENDINGS = re.compile(
    r".*\.(m?js|css|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|[to]tf|eot|mp[34]|webm|wasm)",
    re.IGNORECASE | re.DOTALL,
)
# What a browser adds for itself: not part of what the service is asked for.
_BROWSERS_OWN = re.compile(
    r":.*|host|accept-encoding|accept-language|user-agent|referer|cache-control|pragma|if-(none-match|modified-since)"
    r"|sec-.*|upgrade-insecure-requests|dnt|priority|upgrade|proxy-.*|x-client-data|cookie2|alt-used",
    re.IGNORECASE,
)
_HEALTH = re.compile(r"/(health|healthz|healthcheck|livez|readyz|ready|live|ping|status|_health)/?", re.IGNORECASE)
_LARGEST_PLAN = 10**6
_PAUSE = 0.2  # a gap between requests that is worth a comment
_LONGEST_ADDRESS = 8_000
_LONGEST_HEADERS = 32_000
_SAFE = ("get", "head", "options")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One recorded request, as far as it could be read."""

    parts: SplitResult
    method: str
    headers: list[tuple[str, str]]
    mime: str
    text: str
    status: int
    static: bool
    begun: float | None
    took: float


def import_har(path: Path, options: ImportOptions) -> Draft:
    """A draft of a recorded session.

    Raises:
        UsageError: the file is no HAR, or nothing of it is left.
    """
    only = compile_only(options.only)
    draft = Draft(
        title=path.stem, origin=f"written by `shakedown init --har {path.name}`", url="", scenario="session",
        mode="sequence", requests=[],
    )  # fmt: skip
    entries = list(_entries(read_json(path), path, draft))
    wanted = [entry for entry in entries if options.static or not entry.static]
    if len(wanted) < len(entries):
        draft.skipped["static files (--static keeps them)"] = len(entries) - len(wanted)
    chosen = _of_one_host(wanted, options.host, path, draft)
    draft.url = checked_url(options.url) if options.url else origin(chosen[0].parts)
    vault, letters = Vault(), 0
    for request in _requests(chosen, vault, draft, all_methods=options.all_methods):
        if only is not None and not only.search(f"{request.method.upper()} {request.path}"):
            draft.skip("requests that --only does not find")
        elif len(draft.requests) >= options.limit:
            draft.skip(f"requests after the first {options.limit} (--limit)")
        elif (letters := letters + request.size) > _LARGEST_PLAN:
            draft.skip(f"requests after the first {_LARGEST_PLAN // 10**6} MB of bodies")
        else:
            draft.requests.append(request)
    draft.variables = vault.variables
    draft.health = next((entry.parts.path for entry in chosen if _is_health(entry)), None)
    return draft


def _is_health(entry: _Entry) -> bool:
    well = entry.method == "get" and 200 <= entry.status < 300 and not entry.parts.query
    names = {name.lower() for name, _ in entry.headers}
    return well and _HEALTH.fullmatch(entry.parts.path) is not None and not names & {"authorization", "cookie"}


# ---------------------------------------------------------------------------------------------------------- reading
def _entries(document: object, path: Path, draft: Draft) -> Iterator[_Entry]:
    log = document.get("log") if isinstance(document, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{path} is no HAR: it has no log.entries", hint="export it from the browser's network view")
    for entry in entries:
        found = _entry(entry)
        if isinstance(found, str):
            draft.skip(found)
        else:
            yield found


def _entry(entry: object) -> _Entry | str:
    """An entry as data, or why it is left out."""
    request, response = _mapping(_mapping(entry).get("request")), _mapping(_mapping(entry).get("response"))
    url, method = request.get("url"), request.get("method")
    if not isinstance(url, str) or not isinstance(method, str):
        return "entries without an address or method"
    parts = split_address(url)
    if parts is None:
        return "addresses that are not http (ws:, data:, blob:)"
    status = response.get("status")
    code = status if isinstance(status, int) and not isinstance(status, bool) else 0
    if code == 101:
        return "connections that became something else (WebSocket)"
    headers = [*_pairs(request.get("headers"))]
    names = {name.lower() for name, _ in headers}
    if method.lower() not in METHODS:
        return "methods that a plan has not"
    if method.lower() == "options" and "access-control-request-method" in names:
        return "preflights of the browser"
    if code >= 500:
        return "requests that were answered with 5xx"
    mime, text = _post_data(_mapping(request.get("postData")))
    if len(text) > LARGEST_BODY:
        return f"requests with bodies of more than {LARGEST_BODY // 1000} kB"
    if len(url) > _LONGEST_ADDRESS or sum(len(name) + len(value) for name, value in headers) > _LONGEST_HEADERS:
        return "requests with addresses or headers that are too long"
    kind = str(_mapping(entry).get("_resourceType", "")).lower()
    content = str(_mapping(response.get("content")).get("mimeType", "")).lower()
    static = method.lower() == "get" and (
        kind in _STATIC_KINDS
        or content.startswith(_STATIC_TYPES)
        or _STATIC_ENDINGS.fullmatch(parts.path[-300:]) is not None
    )
    took = _mapping(entry).get("time")
    seconds = took / 1000 if isinstance(took, int | float) and not isinstance(took, bool) and 0 <= took < 1e9 else 0.0
    begun = _moment(_mapping(entry).get("startedDateTime"))
    return _Entry(parts, method.lower(), headers, mime, text, code, static, begun, seconds)


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    for item in value if isinstance(value, list) else []:
        name, text = _mapping(item).get("name"), _mapping(item).get("value", "")
        if isinstance(name, str) and isinstance(text, str | int | float):
            yield name, str(text)


def _moment(value: object) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _post_data(data: dict[str, object]) -> tuple[str, str]:
    """Content type and text of a body."""
    mime = data.get("mimeType")
    mime = mime if isinstance(mime, str) else ""
    text = data.get("text")
    if isinstance(text, str) and text:
        if data.get("encoding") == "base64":
            with contextlib.suppress(ValueError):  # then it is no base64 after all, or no text: sent as it stands
                text = base64.b64decode(text, validate=True).decode()
        return mime, text
    listed = data.get("params")
    params = [_mapping(item) for item in listed] if isinstance(listed, list) else []
    fields = [(str(item.get("name", "")), str(item.get("value", "") or "")) for item in params]
    if not fields:
        return mime, ""
    if mime.lower().startswith("multipart/"):
        body, kind = multipart(
            (name, value, _text_or_none(item.get("fileName")), _text_or_none(item.get("contentType")))
            for (name, value), item in zip(fields, params, strict=True)
        )
        return kind, body
    pairs = (
        f"{quote(name, safe='', errors='replace')}={quote(value, safe='', errors='replace')}" for name, value in fields
    )
    return mime or "application/x-www-form-urlencoded", "&".join(pairs).replace("%20", "+")


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


# --------------------------------------------------------------------------------------------------------- choosing
def _of_one_host(entries: list[_Entry], host: str | None, path: Path, draft: Draft) -> list[_Entry]:
    """The entries of the host that is asked for, or of the most frequent one."""
    counts = Counter(origin(entry.parts) for entry in entries)
    if not counts:
        left = "; ".join(f"{count} {why}" for why, count in draft.skipped.items())
        raise UsageError(f"{path} holds no request that a plan could send" + (f"; left out: {left}" if left else ""))
    if host is None:
        chosen = counts.most_common(1)[0][0]
    else:
        wanted = host.lower().rstrip("/")
        found = [name for name in counts if wanted in (name, name.partition("//")[2], urlsplit(name).hostname)]
        if not found:
            known = ", ".join(name for name, _ in counts.most_common(10))
            raise UsageError(f"{path} holds no request to {host!r}; it has {known}")
        chosen = max(found, key=counts.__getitem__)
    for name, count in counts.most_common():
        if name != chosen:
            draft.skipped[f"requests to {name}"] = count
    return [entry for entry in entries if origin(entry.parts) == chosen]


def _requests(entries: list[_Entry], vault: Vault, draft: Draft, *, all_methods: bool) -> Iterator[DraftRequest]:
    """The requests; the same read again, with no write in between, is folded into the first."""
    names: set[str] = set()
    folded: dict[object, DraftRequest] = {}
    counts: Counter[str] = Counter()
    ended: float | None = None
    found: list[DraftRequest] = []
    for entry in entries:
        request = _request(entry, vault)
        key = (request.method, request.path, repr(request.headers), request.kind, repr(request.body))
        if entry.method not in _SAFE:
            folded.clear()
        gap = entry.begun - ended if entry.begun is not None and ended is not None else 0.0
        ended = entry.begun + entry.took if entry.begun is not None else ended
        if key in folded:
            counts[folded[key].name] += 1
            continue
        if entry.method in _SAFE:
            folded[key] = request
        request.name = unique(request.name, names)
        if gap > _PAUSE and found:
            request.notes.append(f"recorded {format_duration(gap)} after the request before it")
        if request.method == "delete" and not all_methods:
            request.off = "change: a DELETE is not sent unless you take the comment signs away (or --all-methods)"
        found.append(request)
    for request in found:
        if counts[request.name]:
            request.notes.append(f"recorded {counts[request.name] + 1} times")
            draft.skipped["repetitions, folded"] = draft.skipped.get("repetitions, folded", 0) + counts[request.name]
    yield from found


def _request(entry: _Entry, vault: Vault) -> DraftRequest:
    path = plan_path(target_of(entry.parts), vault)
    request = DraftRequest(name_for(entry.method, path), entry.method, path)
    kept = clean_headers(
        pair
        for pair in entry.headers
        if not _BROWSERS_OWN.fullmatch(pair[0]) and not (pair[0].lower() == "origin" and entry.method in _SAFE)
    )
    if entry.mime and entry.text:
        kept = {header: value for header, value in kept.items() if header.lower() != "content-type"}
        kept |= clean_headers([("Content-Type", entry.mime)])
    request.headers = plan_headers(kept, vault)
    request.size = len(entry.text)
    set_body(request, entry.text, vault)
    request.checks = [_check(entry.status)] if entry.status else []
    if not entry.status:
        request.notes.append("change: no answer was recorded; any status below 400 counts as right")
    elif entry.status >= 400:
        request.notes.append(f"change: recorded with the answer {entry.status}; that is now expected")
    return request


def _check(status: int) -> str:
    if status == 304:  # the headers that led to it are left out
        return "status in [200, 304]"
    return f"status == {status}" if 100 <= status <= 999 else "status in 200..299"

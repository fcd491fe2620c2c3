"""A curl command as a plan with one request."""

import re
from pathlib import Path
from urllib.parse import quote_plus

from shakedown.errors import UsageError
from shakedown.imports.addresses import checked_url, origin, split_address, target_of
from shakedown.imports.curl_options import CurlOptions, read_options
from shakedown.imports.draft import Draft, DraftRequest, ImportOptions
from shakedown.imports.parts import LARGEST_BODY, clean_headers, multipart, plan_headers, plan_path, set_body
from shakedown.imports.shell import VARIABLE, split_command
from shakedown.imports.source import read_text
from shakedown.imports.text import PlanText, compose, slug, unique
from shakedown.imports.vault import Vault, name_for
from shakedown.plan.scenarios import METHODS
from shakedown.units import format_size

__all__ = ["import_curl"]

_LARGEST_FILE = 10**6
_DATA = ("data", "data-raw", "data-binary", "data-ascii", "data-urlencode", "json")
_FORM = ("form", "form-string")
_GLOB = re.compile(r"\[[^\]]*-[^\]]*\]|\{[^}]*\}")


def import_curl(commands: list[str], options: ImportOptions, folder: Path) -> Draft:
    """A draft with a request for each command; all must go to the same host.

    Args:
        folder: where relative `@file` names start.

    Raises:
        UsageError: a command cannot be read, or holds an option that is not supported.
    """
    vault = Vault(marks=True)
    requests: list[DraftRequest] = []
    origins: dict[str, None] = {}
    names: set[str] = set()
    for command in commands:
        found, where = _one(command, vault, folder)
        found.name = unique(found.name, names)
        requests.append(found)
        origins[where] = None
    if len(origins) > 1 and options.url is None:
        raise UsageError(
            f"the curl commands go to several hosts: {', '.join(origins)}",
            hint="write a plan for each, or say with --url where all of them go",
        )
    url = checked_url(options.url) if options.url else next(iter(origins))
    return Draft(
        title=slug(url.partition("//")[2], "curl"),
        origin="written by `shakedown init --curl`",
        url=url,
        scenario="requests",
        mode="sequence",
        requests=requests,
        variables=vault.variables,
    )


def _one(command: str, vault: Vault, folder: Path) -> tuple[DraftRequest, str]:
    words = split_command(command)
    if words and Path(words[0]).name.lower() in ("curl", "curl.exe"):
        words = words[1:]
    if re.search(r"\^[\"\r\n%]", command):
        raise UsageError(
            "this command is written for the Windows command prompt (`^`)", hint="copy it as cURL (bash) instead"
        )
    found = read_options(words)
    if len(found.urls) != 1:
        many = f"{len(found.urls)} addresses" if found.urls else "no address"
        raise UsageError(f"a curl command with one address is needed; this one has {many}")
    address = found.urls[0]
    if "globoff" not in found.flags and _GLOB.search(address.replace("[::", "")):
        raise UsageError(
            "curl makes several requests of `[…]` or `{…}` in an address", hint="write the one address out"
        )
    parts = split_address(address if "://" in address else f"http://{address}")
    if parts is None:
        shown = VARIABLE.sub(r"$\1", address)
        raise UsageError(f"no http address: {shown[:100]!r}; write http://127.0.0.1:8000/path or https://name/path")
    request = _request(found, target_of(parts), vault, folder)
    if parts.username is not None and not any(name.lower() == "authorization" for name in request.headers):
        secret = f"{parts.username}:{parts.password}"
        request.headers["Authorization"] = _basic(secret, vault)
    return request, origin(parts)


def _basic(secret: str, vault: Vault) -> PlanText:
    return compose("Basic ", vault.variable("BASIC_TOKEN", secret, "base64 of user:password"))


def _request(found: CurlOptions, target: str, vault: Vault, folder: Path) -> DraftRequest:
    """The request."""
    text, mime = _body(found, folder)
    if text is not None and len(text) > LARGEST_BODY:
        raise UsageError(
            f"a body of {format_size(len(text))} is too large for a plan; at most {format_size(LARGEST_BODY)} are written"
        )
    if "get" in found.flags and text is not None:
        target += ("&" if "?" in target else "?") + text
        text, mime = None, None
    method = (found.last("request") or ("HEAD" if "head" in found.flags else "GET" if text is None else "POST")).lower()
    if method not in METHODS:
        shown = VARIABLE.sub(r"$\1", method.upper())
        raise UsageError(f"the method {shown[:20]} is not one of {', '.join(METHODS).upper()}")
    path = plan_path(target, vault)
    request = DraftRequest(name_for(method, path), method, path)
    headers, removed = _headers(found)
    lower = {name.lower() for name in headers} | removed
    if mime is not None and "content-type" not in lower:
        headers["Content-Type"] = mime
    if found.all("json") and "accept" not in lower:
        headers["Accept"] = "application/json"
    request.headers = plan_headers(headers, vault)
    if "authorization" not in {name.lower() for name in headers}:
        if (user := found.last("user")) is not None:
            request.headers["Authorization"] = _basic(user, vault)
        elif (bearer := found.last("oauth2-bearer")) is not None:
            request.headers["Authorization"] = vault.header("Authorization", f"Bearer {bearer}") or PlanText()
    if text is not None:
        set_body(request, text, vault, mime=None if "content-type" not in removed else "")
        if "content-type" in removed:
            request.headers["Content-Type"] = PlanText("")  # or the sender would say what a raw body usually is
    request.timeout = _timeout(found)
    request.checks = ["status in 200..299"]
    request.notes = _notes(found)
    return request


def _headers(found: CurlOptions) -> tuple[dict[str, str], set[str]]:
    """The headers that the command sends, and those that it takes away (`Name:`)."""
    pairs: list[tuple[str, str]] = []
    removed: set[str] = set()
    for text in found.all("header"):
        if text.startswith("@"):
            raise UsageError(f"-H {text[:60]}: headers from a file are not read", hint="write each with its own -H")
        name, colon, value = text.partition(":")
        if colon and value.strip():
            pairs.append((name.strip(), value))
        elif colon:
            removed.add(name.strip().lower())
        elif name.endswith(";"):
            pairs.append((name[:-1].strip(), ""))
        else:
            raise UsageError(f"-H {VARIABLE.sub('$…', name)[:60]!r} is no header; write 'Name: value'")
    for option, header in (("user-agent", "User-Agent"), ("referer", "Referer")):
        if (given := found.last(option)) is not None and header.lower() not in {name.lower() for name, _ in pairs}:
            pairs.append((header, given.removesuffix(";auto")))
    cookies = found.all("cookie")
    if any("=" not in cookie and not VARIABLE.search(cookie) for cookie in cookies):
        raise UsageError("-b with a file of cookies is not read", hint="write -b 'name=value'")
    pairs += [("Cookie", cookie) for cookie in cookies]
    cleaned = clean_headers(pairs, marks=True)
    refused = [name for name, _ in pairs if name.lower() not in {known.lower() for known in cleaned}]
    wrong = [
        name for name in refused if name.lower() not in ("content-length", "transfer-encoding", "connection", "te")
    ]
    if wrong and wrong[0].lower() not in ("keep-alive", "proxy-connection"):
        raise UsageError(f"the header {wrong[0][:60]!r} cannot be sent: its name or value holds what no header may")
    return cleaned, removed


def _body(found: CurlOptions, folder: Path) -> tuple[str | None, str | None]:
    """The body and its content type, both None without one."""
    if found.all(*_FORM):
        if found.all(*_DATA):
            raise UsageError("-F and -d do not go together: one is multipart, the other is not")
        body, mime = multipart(_parts(found, folder))
        return body, mime
    if not found.all(*_DATA):
        return None, None
    if found.all("json"):
        if len(found.all(*_DATA)) != len(found.all("json")):
            raise UsageError("--json and -d do not go together")
        return "".join(_data("json", text, folder) for text in found.all("json")), "application/json"
    pieces = [_data(name, text, folder) for name, text in found.values if name in _DATA]
    return "&".join(pieces), "application/x-www-form-urlencoded"


def _data(option: str, text: str, folder: Path) -> str:
    if option == "data-raw":
        return text
    if option == "data-urlencode":
        return _encoded(text, folder)
    if not text.startswith("@"):
        return text
    content = _file(text[1:], folder, option)
    return content.replace("\r", "").replace("\n", "") if option in ("data", "data-ascii") else content


def _encoded(text: str, folder: Path) -> str:
    """`content`, `=content`, `name=content`, `@file`, `name@file`: the content URL-encoded."""
    sign = next((letter for letter in text if letter in "=@"), None)
    name, _, content = text.partition(sign) if sign else ("", "", text)
    if sign == "@":
        content = _file(content, folder, "data-urlencode")
    encoded = "".join(
        part if index % 2 else quote_plus(part, errors="replace")
        for index, part in enumerate(re.split("(\0[A-Za-z_][A-Za-z0-9_]*\0)", content))
    )
    return f"{name}={encoded}" if name else encoded


def _file(name: str, folder: Path, option: str) -> str:
    if name == "-":
        raise UsageError(f"--{option} @- reads standard input, which is not read here", hint="name a file")
    if VARIABLE.search(name):
        raise UsageError(f"--{option}: the file's name holds a variable", hint="write the name out")
    try:
        return read_text(folder / name, _LARGEST_FILE)
    except UsageError as error:
        if error.message.endswith("is empty"):
            return ""
        raise


def _parts(found: CurlOptions, folder: Path) -> list[tuple[str, str, str | None, str | None]]:
    parts: list[tuple[str, str, str | None, str | None]] = []
    for option, text in found.values:
        if option not in _FORM:
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-F {text[:60]!r} is no field; write 'name=value'")
        if option == "form-string" or value[:1] not in ("@", "<"):
            kind = None
            if option == "form" and (match := re.fullmatch(r"(.*);type=([^;\s]+)", value, re.DOTALL)):
                value, kind = match[1], match[2]
            parts.append((name, value, None, kind))
            continue
        settings = value[1:].split(";")
        extra = dict(setting.strip().partition("=")[::2] for setting in settings[1:])
        content = _file(settings[0].strip('"'), folder, "form")
        if value[0] == "<":
            parts.append((name, content, None, extra.get("type")))
        else:
            shown = extra.get("filename", Path(settings[0]).name).strip('"')
            parts.append((name, content, shown, extra.get("type", "text/plain")))
    return parts


def _timeout(found: CurlOptions) -> str | None:
    text = found.last("max-time")
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) or float(text) == 0:
        raise UsageError(f"--max-time is no number of seconds: {text[:40]!r}")
    return f"{float(text):g}s"


def _notes(found: CurlOptions) -> list[str]:
    """What the command asks for and a plan does not do."""
    notes = []
    if found.flags & {"location", "location-trusted"}:
        notes.append(
            "curl followed redirects (-L); here the first answer counts: name the last address, or check for 30x"
        )
    if "insecure" in found.flags:
        notes.append("curl did not check the certificate (-k); here it is checked")
    if found.last("proxy") is not None:
        notes.append("curl went through a proxy (-x); here requests go to the service directly")
    if "compressed" in found.flags:
        notes.append(
            "curl asked for compressed answers; add the header Accept-Encoding: gzip to load the compression too"
        )
    return notes

"""What must never reach a log, a database or a report."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qs, quote, unquote, urlsplit

from shakedown.plan.model import Plan
from shakedown.plan.requests import ApiKey, Auth, Basic, Http
from shakedown.plan.scenarios import Scenario
from shakedown.plan.services import DockerService, ExternalService, ProcessService, Secret, Service
from shakedown.plan.templates import is_constant

__all__ = ["REDACTED", "Redactor", "find_secrets", "looks_secret", "redacted", "scenario_secrets", "secret_variables"]

REDACTED = "********"
_WORDS = ("password", "passwords", "passwd", "passphrase", "secret", "secrets", "token", "credential", "credentials")
_WHOLE = ("pass", "pwd", "auth", "apikey", "authorization", "cookie", "pin")
# A key is secret unless it says that it is another kind of key.
_OPEN_KEYS = ("public", "primary", "foreign", "partition", "sort", "cache", "routing", "idempotency")
# What is said about a secret, rather than the secret itself: TOKEN_TTL, PASSWORD_FILE.
_ABOUT = ("ttl", "expiry", "timeout", "limit", "file", "path", "url", "uri", "id", "name", "length", "count", "type")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_USERINFO = re.compile(r"(?<=://)([^\s/@:]*):([^\s/@]+)@")
_INLINE = re.compile(r"([A-Za-z_-]+)=([^\s;&\"']+)")
# A secret of one to three characters would blank out half of every text; it is left out of the record by its place.
_SHORTEST = 4
_LONG_LINE = 16


def looks_secret(name: str) -> bool:
    """Whether a variable's or header's name says that its value is secret."""
    words = [word.lower() for word in _PARTS.findall(name)]
    if not words or words[-1] in _ABOUT:
        return False
    if words[-1] == "key":
        return len(words) > 1 and words[-2] not in _OPEN_KEYS
    return any(word.endswith(_WORDS) or word in _WHOLE for word in words) or words[-1].endswith(("pwd", "apikey"))


def secret_variables(variables: Mapping[str, str]) -> frozenset[str]:
    """The values of those variables of the environment whose names look secret, with passwords in URLs."""
    return _long_enough(value for name, text in variables.items() for value in _in_value(name, text))


def find_secrets(plan: Plan) -> frozenset[str]:
    """Every secret value that the plan holds, with what URLs carry between `//` and `@`."""
    found: list[str] = []
    for service in plan.services.values():
        for name, value in service.environment.items():
            found += _in_value(name, value)
        for text in _texts(service):
            found += _in_value("", text)
    for suite in plan.suites.values():
        for name, value in suite.environment.items():
            found += _in_value(name, value)
        for text in suite.args:
            found += _in_value("", text)
    for scenario in plan.scenarios.values():
        found += _in_scenario(scenario)
    if plan.stages.faults is not None:
        found += _in_data("", plan.stages.faults.model_dump(mode="json", include={"experiments", "each_dependency"}))
    return _long_enough(found)


def _in_data(name: str, value: object) -> Iterator[str]:
    """What is secret anywhere in JSON-like data: a fault's environment, its headers, its commands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _in_data(str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _in_data(name, inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield from _in_value(name, value)


def _covered_data(value: object) -> object:
    """The same data, with what bears a secret's name covered, however short it is."""
    if isinstance(value, dict):
        return {
            key: REDACTED
            if isinstance(inner, str | int | float) and _is_secret(str(key), inner)
            else _covered_data(inner)
            for key, inner in value.items()
        }
    return [_covered_data(inner) for inner in value] if isinstance(value, list) else value


def scenario_secrets(scenario: Scenario) -> frozenset[str]:
    """The secrets among those that stand in one scenario."""
    return _long_enough(_in_scenario(scenario))


def _in_scenario(scenario: Scenario) -> Iterator[str]:
    yield from scenario.secrets
    for name, value in (scenario.websocket.headers if scenario.websocket else {}).items():
        if looks_secret(name) and is_constant(value):
            yield from (value, value.split(" ", 1)[-1])
    http = scenario.http
    if http.auth is not None:
        yield from _in_auth(http.auth)
    for request in http.all_requests:
        if request.auth is not None:
            yield from _in_auth(request.auth)
        for name, value in {**http.headers, **request.headers}.items():
            if is_constant(value):
                yield from _in_value(name, value)
                if looks_secret(name):
                    yield value.split(" ", 1)[-1]  # without `Bearer`
        fields = request.json_ if isinstance(request.json_, dict) else request.form or request.multipart or {}
        for name, field in fields.items():
            if isinstance(field, str) and is_constant(field):
                yield from _in_value(str(name), field)
        for name, values in parse_qs(urlsplit(request.path).query).items() if is_constant(request.path) else ():
            if looks_secret(name):
                yield from values


def _in_auth(auth: Auth) -> Iterator[str]:
    """The secrets of an auth: those that are no templates, and basic's two as they are sent."""
    yield from (text for text in auth.texts if is_constant(text) and (auth.basic is None or text != auth.texts[0]))
    if auth.basic is not None and all(map(is_constant, auth.texts)):
        yield base64.b64encode(":".join(auth.texts).encode()).decode()


def redacted(plan: Plan, redactor: "Redactor") -> object:
    """The plan as JSON-like data for the record, without any secret, however short it is."""

    def cover(environment: Mapping[str, object]) -> dict[str, object]:
        return {name: REDACTED if _is_secret(name, value) else value for name, value in environment.items()}

    services = {
        name: service.model_copy(update={"environment": cover(service.environment)})
        for name, service in plan.services.items()
    }
    suites = {
        name: suite.model_copy(update={"environment": cover(suite.environment)}) for name, suite in plan.suites.items()
    }
    scenarios = {name: _covered_scenario(scenario) for name, scenario in plan.scenarios.items()}
    covered = plan.model_copy(update={"services": services, "suites": suites, "scenarios": scenarios})
    dumped = covered.model_dump(mode="json", by_alias=True, exclude_none=True)
    if faults := dumped.get("stages", {}).get("faults"):
        faults.update({key: _covered_data(faults[key]) for key in ("experiments", "each_dependency") if key in faults})
    return redactor.redact_data(dumped)


def _covered_scenario(scenario: Scenario) -> Scenario:
    """A scenario without the secrets of what it speaks."""
    update: dict[str, object] = {"http": _covered(scenario.http)}
    if scenario.sql is not None and scenario.sql.password is not None:
        update["sql"] = scenario.sql.model_copy(update={"password": REDACTED})
    if scenario.redis is not None and scenario.redis.password is not None:
        update["redis"] = scenario.redis.model_copy(update={"password": REDACTED})
    return scenario.model_copy(update=update)


def _covered(http: Http) -> Http:
    """Requests without their auth's secrets."""
    requests = [request.model_copy(update={"auth": _covered_auth(request.auth)}) for request in http.requests]
    groups = [
        group.model_copy(
            update={"requests": [one.model_copy(update={"auth": _covered_auth(one.auth)}) for one in group.requests]}
        )
        for group in http.groups
    ]
    return http.model_copy(update={"auth": _covered_auth(http.auth), "requests": requests, "groups": groups})


def _covered_auth(auth: Auth | None) -> Auth | None:
    if auth is None:
        return None
    if auth.basic is not None:
        return Auth(basic=Basic(username=auth.basic.username, password=_cover(auth.basic.password)))
    if auth.api_key is not None:
        key = auth.api_key
        return Auth(api_key=ApiKey(header=key.header, query=key.query, value=_cover(key.value)))
    return Auth(bearer=_cover(auth.bearer or ""))


def _cover(text: str) -> str:
    return REDACTED if is_constant(text) else text


def _is_secret(name: str, value: object) -> bool:
    if isinstance(value, Secret):
        return value.secret
    return looks_secret(name) and not isinstance(value, bool)


def _in_value(name: str, value: object) -> Iterator[str]:
    """What is secret in one value that bears a name."""
    if isinstance(value, Secret) and not value.secret:
        return
    text = value.value if isinstance(value, Secret) else str(value)
    if _is_secret(name, value):
        yield text
    if "://" in text:
        yield from _password(text)
    for inner, part in _INLINE.findall(text):
        if looks_secret(inner):
            yield part


def _texts(service: Service) -> Iterator[str]:
    """The other texts of a service in which a secret may stand."""
    if isinstance(service, ExternalService):
        yield service.url
    elif isinstance(service, ProcessService):
        yield from service.process
    elif isinstance(service, DockerService):
        yield from [service.command] if isinstance(service.command, str) else service.command or []
        yield from service.entrypoint or []
        if service.build is not None:
            yield from (f"{name}={value}" for name, value in service.build.args.items())


def _long_enough(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(text for text in texts if len(text) >= _SHORTEST)


def _password(url: str) -> Iterable[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return ()
    return (password, unquote(password)) if password else ()


def _forms(secret: str) -> Iterator[str]:
    """A secret as itself, inside JSON, inside a URL, and line by line (logs are read so)."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    if "\n" in secret:
        lines = (line.strip() for line in secret.splitlines())
        yield from (line for line in lines if len(line) >= _LONG_LINE and not line.startswith("-----"))


class Redactor:
    """Replaces secrets in any text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = frozenset(secret for secret in secrets if secret)
        forms = {form for secret in self._secrets for form in _forms(secret)}
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def redact(self, text: str) -> str:
        """The text without any secret, and without passwords in URLs."""
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        return _USERINFO.sub(rf"\1:{REDACTED}@", text)

    def redact_data(self, value: object) -> object:
        """JSON-like data without any secret; what is no text is replaced where it is one as a whole."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {key: self.redact_data(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.redact_data(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in self._secrets:
            return REDACTED
        return value

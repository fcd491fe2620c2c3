"""Security schemes of an OpenAPI document: each becomes a header, parameter or cookie with a variable to be set."""

import re

from shakedown.imports.draft import DraftRequest
from shakedown.imports.refs import References, as_list, as_node
from shakedown.imports.text import PlanText, compose
from shakedown.imports.vault import Vault

__all__ = ["secure"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def secure(request: DraftRequest, requirements: object, schemes: object, references: References, vault: Vault) -> None:
    """Give a request what the first of its security requirements asks for.

    Args:
        request: gets headers, and parameters behind its path.
        requirements: the operation's `security`, or the document's.
        schemes: `components.securitySchemes`.
    """
    known = as_node(schemes)
    first = next((as_node(option) for option in as_list(requirements) if as_node(option)), {})
    for name in first:
        scheme = references.node(known.get(name))
        kind, place = str(scheme.get("type", "")), str(scheme.get("in", ""))
        token = name[:40] if name[:40].lower().endswith("token") else f"{name[:40]}_TOKEN"
        if kind == "http" and str(scheme.get("scheme", "")).lower() == "basic":
            variable = vault.variable(token, name, f"base64 of user:password, for `{name}`")
            request.headers["Authorization"] = compose("Basic ", variable)
        elif kind in ("http", "oauth2", "openIdConnect"):
            variable = vault.variable(token, name, f"a token for `{name}` ({kind})")
            word = "Bearer" if kind != "http" else str(scheme.get("scheme", "Bearer"))
            word = "Bearer" if word.lower() == "bearer" or not _TOKEN.fullmatch(word) else word
            request.headers["Authorization"] = compose(word, " ", variable)
        elif kind == "apiKey" and _TOKEN.fullmatch(str(scheme.get("name", ""))):
            key = str(scheme["name"])
            variable = vault.variable(token, name, f"the key for `{name}`, the {place} `{key}`")
            if place == "header":
                request.headers[key] = variable
            elif place == "query":
                request.path = PlanText(f"{request.path}{'&' if '?' in request.path else '?'}{compose(key)}={variable}")
            elif place == "cookie":
                before = [request.headers["Cookie"], "; "] if "Cookie" in request.headers else []
                request.headers["Cookie"] = compose(*before, key, "=", variable)
        else:
            request.notes.append(
                f"change: the security scheme `{name}` ({kind or 'not declared'}) has to be written by hand"
            )

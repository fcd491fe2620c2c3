"""Keys that seem lost, asked for again by somebody who wants no old answer."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from shakedown.plan.checks import compile_checks
from shakedown.plan.templates import environment

__all__ = ["found_afresh"]

FRESH = {"Cache-Control": "no-cache", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """In the shape that checks look at."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency: float


def found_afresh(path: str, checks: Sequence[str], keys: Sequence[str], base_url: str, timeout: float) -> list[str]:
    """Which keys are found by a GET that no cache may answer (RFC 9111, 5.2.1.4).

    Args:
        path: a template that knows `key`.
        checks: what must hold of the answer.
        timeout: of one question, seconds; a key that gets no answer is not found.
    """
    template, compiled = environment().from_string(path), compile_checks(list(checks))
    found = []
    with httpx.Client(base_url=base_url, timeout=timeout, trust_env=False, headers=FRESH) as client:
        for key in keys:
            begun = time.monotonic()
            try:
                response = client.get(template.render(key=key))
            except (httpx.HTTPError, httpx.InvalidURL):
                continue
            headers = {name.lower(): value for name, value in response.headers.items()}
            answer = _Answer(response.status_code, headers, response.content, time.monotonic() - begun)
            if compiled.failed(answer) is None:
                found.append(key)
    return found

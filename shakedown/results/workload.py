"""What makes two runs comparable: the same work asked for, on the same kind of machine."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["machine_digest", "workload_digest"]

# What only judges, or says what is tested, or explains: runs that differ in nothing else are comparable.
_JUDGES = frozenset({
    "thresholds", "tolerance", "expect", "abort_if", "leaks", "drifts", "flaky_tests", "compare_with", "ledgers",
    "recover_within", "required", "covers",
})  # fmt: skip
_SERVICE = ("limits", "depends_on", "url")  # of a service; its image, build, command and environment are what is tested


def workload_digest(plan_json: str) -> str:
    """A digest of what a plan asks for: loads, faults, repetitions, suites, and the services' limits.

    Neither thresholds nor images are in it, and nothing that stands at its default: a run with a stricter threshold, of
    another build, or by a later Shakedown that knows more keys, is comparable. Empty for what is no plan.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - lists of runs need no plans, which take a while to load

    from shakedown.plan import Plan  # noqa: PLC0415

    try:
        data = json.loads(plan_json or "{}")
    except ValueError:
        return ""
    if not isinstance(data, dict) or not data.get("stages"):
        return ""
    with suppress(ValidationError, ValueError):  # redacted beyond reading, or of another version: as it stands
        data = Plan.model_validate(data).model_dump(mode="json", exclude_defaults=True)
    kept = {
        "name": data.get("name"),
        "scenarios": _without(data.get("scenarios", {})),
        "suites": data.get("suites", {}),
        "stages": _with_names(_without(data.get("stages", {}))),
        "services": {
            name: {key: service[key] for key in _SERVICE if key in service}
            for name, service in (data.get("services") or {}).items()
            if isinstance(service, dict)
        },
    }
    return _digest(kept)


def _with_names(stages: object) -> object:
    """The baseline's suites by their names alone, where nothing else is said of them: as earlier versions stored them."""
    baseline = stages.get("baseline") if isinstance(stages, dict) else None
    if isinstance(stages, dict) and isinstance(baseline, dict) and isinstance(suites := baseline.get("suites"), list):
        named = [suite["suite"] if isinstance(suite, dict) and set(suite) == {"suite"} else suite for suite in suites]
        return {**stages, "baseline": {**baseline, "suites": named}}
    return stages


def _without(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in _JUDGES}
    return [_without(item) for item in value] if isinstance(value, list) else value


def machine_digest(environment: Mapping[str, str]) -> str:
    """A digest of the processor, its cores, the memory in whole GiB, and the kernel's series (6.1 of 6.1.0-37-amd64).

    Names of hosts are not in it: CI's machines have a new one every day. Empty when the processor is not known.
    """
    if not environment.get("cpu"):
        return ""
    memory = round(int(environment.get("memory") or 0) / 2**30)
    kernel = ".".join(environment.get("kernel", "").split(".")[:2])
    return _digest([environment["cpu"], environment.get("cores", ""), memory, kernel, environment.get("machine", "")])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]

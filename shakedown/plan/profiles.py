"""Profiles and overrides: how one plan serves a smoke test and a long night."""

import contextlib
import difflib
import math
import re
from collections.abc import Callable, Sequence

from shakedown.errors import PlanProblem
from shakedown.plan.document import Document, Path, parse_value, show_path
from shakedown.units import parse_duration

__all__ = ["apply_overrides", "apply_profile", "nearest", "profile_cuts", "profile_names"]

PARTS = ("services", "scenarios", "suites", "ledgers", "stages")
SCALES = ("duration", "hold", "repeat", "rate")
NEMESIS_RANGE = (1.0, 5.0)  # seconds that a nemesis's faults last, and that it is quiet between two, if not given


def nearest(word: str, choices: Sequence[str]) -> str | None:
    """`did you mean …?` for a word that is not among the choices; None when nothing is close."""
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None


def _one_of(choices: Sequence[str]) -> str:
    return f"one of {', '.join(choices)}" if choices else "nothing"


def _usable(factor: float) -> bool:
    """Whether a scale is above zero and small enough that what it scales stays a number."""
    return 0 < factor <= 1e9 and math.isfinite(factor)


def profile_names(document: Document) -> list[str]:
    """The profiles that the plan has."""
    profiles = document.data.get("profiles") if isinstance(document.data, dict) else None
    return list(profiles) if isinstance(profiles, dict) else []


def check_profiles(document: Document) -> list[PlanProblem]:
    """What is wrong with the shape of any profile, chosen or not."""
    if not isinstance(document.data, dict) or "profiles" not in document.data:
        return []
    profiles = document.data["profiles"]
    if not isinstance(profiles, dict):
        return [document.problem(("profiles",), "profiles must be a mapping of names to profiles")]
    found = []
    for name, profile in profiles.items():
        path: Path = ("profiles", name)
        if not isinstance(profile, dict):
            found.append(document.problem(path, "a profile must be a mapping"))
            continue
        for key, value in profile.items():
            if key not in (*PARTS, "scale"):
                allowed = ("scale", *PARTS)
                found.append(
                    document.problem(
                        (*path, key), f"unknown key `{key}`; allowed: {', '.join(allowed)}", nearest(key, allowed)
                    )
                )
            elif not isinstance(value, dict):
                found.append(document.problem((*path, key), f"`{key}` must be a mapping"))
            elif key == "scale":
                for scale, factor in value.items():
                    here = (*path, key, scale)
                    if scale not in SCALES:
                        found.append(
                            document.problem(
                                here, f"unknown key `{scale}`; allowed: {', '.join(SCALES)}", nearest(scale, SCALES)
                            )
                        )
                    elif not isinstance(factor, int | float) or isinstance(factor, bool) or not _usable(factor):
                        found.append(
                            document.problem(here, f"a scale must be a number above zero, at most 1e9, not {factor!r}")
                        )
    return found


def apply_profile(document: Document, profile: str | None) -> list[PlanProblem]:
    """Merge the chosen profile into the document's data and drop the key `profiles`."""
    found = check_profiles(document)
    data = document.data
    if not isinstance(data, dict):
        return found
    profiles = data.pop("profiles", None)
    if profile is None or found:
        return found
    names = list(profiles) if isinstance(profiles, dict) else []
    if not isinstance(profiles, dict) or profile not in profiles:
        message = f"unknown profile `{profile}`; the plan has {_one_of(names)}"
        return [PlanProblem(message=message, file=document.file, hint=nearest(profile, names))]
    chosen = profiles[profile]
    for part in PARTS:
        if part in chosen:
            data[part] = _merge(document, data.get(part), chosen[part], (part,), ("profiles", profile, part))
    _scale(data, chosen.get("scale", {}))
    return found


_SCALED = {"duration": "durations", "hold": "holds", "repeat": "repetitions", "rate": "rates"}


def profile_cuts(document: Document, profile: str | None) -> str:
    """What a profile leaves out of the plan as it stands: `durations × 0.2, without faults`; empty when it leaves out nothing."""
    profiles = document.data.get("profiles") if isinstance(document.data, dict) else None
    chosen = profiles.get(profile) if isinstance(profiles, dict) and profile is not None else None
    if not isinstance(chosen, dict):
        return ""
    scale, stages = chosen.get("scale"), chosen.get("stages")
    cuts = [
        f"{words} × {factor:g}"
        for name, words in _SCALED.items()
        if isinstance(scale, dict) and isinstance(factor := scale.get(name), int | float) and factor < 1
    ]
    gone = [str(name) for name, stage in stages.items() if stage is None] if isinstance(stages, dict) else []
    return ", ".join([*cuts, *([f"without {', '.join(gone)}"] if gone else [])])


def _merge(document: Document, old: object, new: object, path: Path, source: Path) -> object:
    """`new` over `old`: mappings merge, everything else replaces; places follow the value."""
    if source in document.places:
        document.places[path] = document.places[source]
    if isinstance(new, dict) and isinstance(old, dict):
        merged = dict(old)
        for key, value in new.items():
            merged[key] = _merge(document, old.get(key), value, (*path, key), (*source, key))
        return merged
    for known, place in list(document.places.items()):
        if known[: len(source)] == source:
            document.places[(*path, *known[len(source) :])] = place
    return new


def _scale(data: dict[str, object], scale: dict[str, float]) -> None:
    """Multiply loads' durations and rates, faults' holds and repeats, each by its own factor; what cannot be read is left for the validation to name."""
    duration, hold, repeat, rate = (float(scale.get(name, 1.0)) for name in SCALES)

    def times(mapping: object, key: str, factor: float, read: Callable[[str | float], float] = float) -> None:
        if factor == 1.0 or not isinstance(mapping, dict) or mapping.get(key) is None:
            return
        try:
            mapping[key] = read(mapping[key]) * factor
        except (TypeError, ValueError, OverflowError):
            return

    def levels(mapping: object) -> None:
        """Steps, and the bounds of a search."""
        times(mapping, "duration", duration, parse_duration)
        if isinstance(mapping, dict):
            if rate != 1.0 and isinstance(mapping.get("rate"), list):
                mapping["rate"] = [one * rate if isinstance(one, int | float) else one for one in mapping["rate"]]
            for key in ("lowest", "highest", "required"):
                times(mapping, key, rate)

    def use(mapping: object) -> None:
        times(mapping, "duration", duration, parse_duration)
        times(mapping, "rate", rate)
        times(mapping, "start_rate", rate)
        if not isinstance(mapping, dict):
            return
        ramp = mapping.get("stages")
        for stage in ramp if isinstance(ramp, list) else ():
            times(stage, "duration", duration, parse_duration)
            if mapping.get("type") == "ramping-arrival-rate":
                times(stage, "target", rate)
        for key in ("steps", "capacity"):
            levels(mapping.get(key))

    def nemesis(mapping: object) -> None:
        """As many faults in another time: each lasts longer or shorter, and so does the quiet."""
        times(mapping, "duration", hold, parse_duration)
        if hold == 1.0 or not isinstance(mapping, dict):
            return
        for key in ("hold", "quiet"):
            bounds = mapping.get(key, list(NEMESIS_RANGE))
            if isinstance(bounds, list | tuple):
                with contextlib.suppress(TypeError, ValueError, OverflowError):  # as above
                    mapping[key] = [parse_duration(bound) * hold for bound in bounds]

    for scenario in _values(data.get("scenarios")):
        use(scenario.get("executor") if isinstance(scenario, dict) else None)
    stages = data.get("stages")
    for stage in _values(stages):
        if not isinstance(stage, dict):
            continue
        for key in ("scenarios", "parallel", "run"):
            for item in stage[key] if isinstance(stage.get(key), list) else ():
                use(item)
        use(stage.get("load"))
        for experiment in stage["experiments"] if isinstance(stage.get("experiments"), list) else ():
            times(experiment, "hold", hold, parse_duration)
            if isinstance(experiment, dict):
                nemesis(experiment.get("nemesis"))
                for step in experiment["sequence"] if isinstance(experiment.get("sequence"), list) else ():
                    times(step, "hold", hold, parse_duration)
        for each in stage["each_dependency"] if isinstance(stage.get("each_dependency"), list) else ():
            times(each, "hold", hold, parse_duration)
        if repeat != 1.0 and (times_now := _whole(stage.get("repeat"))):
            stage["repeat"] = max(1, round(times_now * repeat))


def _whole(value: object) -> int | None:
    """A positive whole number, as a number or (from a quoted variable) as a text of digits."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None


def _values(mapping: object) -> list[object]:
    return list(mapping.values()) if isinstance(mapping, dict) else []


def apply_overrides(document: Document, overrides: Sequence[str]) -> list[PlanProblem]:
    """Carry out `--set a.b.0.c=value`; the value is YAML."""
    found = []
    for override in overrides:
        path_text, equals, value_text = override.partition("=")
        if not equals or not path_text:
            found.append(
                PlanProblem(
                    f"not an override: {override!r}", file="--set", hint="write --set stages.stress.parallel.0.rate=50"
                )
            )
            continue
        try:
            value = parse_value(value_text)
        except ValueError as error:
            found.append(PlanProblem(f"the value is not YAML: {error}", key=path_text, file="--set"))
            continue
        problem = _set(document, path_text.split("."), value)
        if problem:
            found.append(problem)
    return found


def _set(document: Document, steps: list[str], value: object) -> PlanProblem | None:
    here: object = document.data
    path: list[str | int] = []
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        where = show_path(tuple(path)) or "the plan"
        if isinstance(here, list):
            if not re.fullmatch(r"[0-9]{1,9}", step) or int(step) >= len(here):
                return PlanProblem(
                    f"no item {step!r} in {where}, which has {len(here)}", key=".".join(steps), file="--set"
                )
            index: str | int = int(step)
        elif isinstance(here, dict):
            if step not in here and not last:
                choices = [str(key) for key in here]
                message = f"no key `{step}` in {where}, which has {_one_of(choices)}"
                return PlanProblem(message, key=".".join(steps), file="--set", hint=nearest(step, choices))
            index = step
        else:
            return PlanProblem(f"{where} is a plain value: it has no `{step}`", key=".".join(steps), file="--set")
        path.append(index)
        if last:
            here[index] = value  # type: ignore[index]  # a list with an int, or a dict with a str
            document.places.pop(tuple(path), None)
        else:
            here = here[index]  # type: ignore[index]
    return None

"""Figures to compare that the plan's runs cannot have: a name that nothing bears would never be compared."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from pydantic import ValidationError

from shakedown.plan.model import Plan, Use
from shakedown.plan.regression import LOAD_FIGURES
from shakedown.plan.uses import label_of

__all__ = ["regression_problems"]


def regression_problems(plan: Plan) -> Iterator[tuple[tuple[str | int, ...], str, str | None]]:
    """Figures that this plan cannot have: their place, what is wrong, and a hint."""
    if "figures" not in plan.regression.model_fields_set:  # the default names what most plans have, and some do not
        return
    known = _subjects(plan)
    for index, text in enumerate(plan.regression.figures):
        stage, _, rest = text.partition(".")
        subject, _, metric = rest.rpartition(".")
        hit = any(
            fnmatchcase(one, stage)
            and fnmatchcase(name, subject)
            and any(fnmatchcase(each, metric) for each in metrics)
            for one, name, metrics in known
        )
        if not hit:
            listing = ", ".join(f"{one}.{name}" for one, name, _ in known if fnmatchcase(one, stage))
            yield (
                ("regression", "figures", index),
                f"no figure of this plan is called `{text}`",
                f"there are: {listing}",
            )


def _subjects(plan: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    """Stage, subject and metrics of everything that a run of this plan has figures of."""
    stages = plan.stages
    found: list[tuple[str, str, tuple[str, ...]]] = []
    quiet: list[Use] = [*stages.baseline.scenarios, *stages.baseline.suites] if stages.baseline else []
    for stage, uses in (
        ("baseline", quiet),
        ("stress", stages.stress.parallel if stages.stress else []),
        ("endurance", stages.endurance.run if stages.endurance else []),
    ):
        for use in uses:
            is_suite = getattr(use, "suite", None) is not None
            found.append((stage, label_of(use), ("seconds",) if is_suite else LOAD_FIGURES))
        if uses:
            found += [(stage, name, ("memory",)) for name in plan.services]
    try:
        return found + [("faults", one.name, ("recovery",)) for one in plan.experiments]
    except ValidationError:  # one that `each_dependency` makes is wrong, which is told where it stands
        return [*found, ("faults", "*", ("recovery",))]

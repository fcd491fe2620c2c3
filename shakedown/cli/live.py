"""What a terminal shows below the news while a run goes on: stage, loads, the fault that holds, resources."""

import time
from collections.abc import Callable, Mapping

from rich.text import Text

from shakedown.session.progress import Progress
from shakedown.units import format_duration, format_size

__all__ = ["Panel"]

STALE = 10.0  # seconds: a load that has said nothing for so long has ended, resources are not known any more
SEPARATOR = " · "
OURSELVES = "shakedown"  # comes last: it is not what is tested


class Panel:
    """Gathers news and shows the newest of each kind.

    Args:
        planned: seconds of each stage that the plan itself asks for.
        now: a clock in seconds, of any origin.
    """

    def __init__(self, planned: Mapping[str, float], now: Callable[[], float] = time.monotonic) -> None:
        self._planned, self._now = planned, now
        self._origin: float | None = None  # of the run's clock, on ours
        self._stage: tuple[str, float] | None = None
        self._loads: dict[str, tuple[float, str]] = {}
        self._faults: dict[tuple[str, str], float] = {}
        self._resources: dict[str, tuple[float, Mapping[str, float]]] = {}

    def take(self, news: Progress) -> None:
        """Remember what is shown."""
        self._origin = self._now() - news.at
        if news.event == "stage.start":
            self._stage = (news.subject, news.at)
            self._loads.clear()
        elif news.event == "stage.end":
            self._stage = None
            self._loads.clear()
            self._faults.clear()
        elif news.event == "fault.injected":
            self._faults[news.subject, news.text.removeprefix("injected: ")] = news.at
        elif news.event == "fault.reverted":
            self._faults.pop((news.subject, news.text.removeprefix("reverted: ")), None)
        elif news.kind == "load":
            self._loads[news.subject] = (news.at, news.text)
        elif news.kind == "resources":
            self._resources[news.subject] = (news.at, news.numbers)

    def loads(self) -> str:
        """All loads in one line, for what is no terminal."""
        return "   ".join(f"{name}: {text}" for name, (_, text) in self._loads.items())

    def shown(self, width: int) -> Text:
        """The lines, each cut to the width; empty before there is anything."""
        if self._origin is None:
            return Text("")
        at = self._now() - self._origin
        lines = [self._head(at)]
        lines += [
            Text(f"  {name:12}  {text}") for name, (said, text) in self._loads.items() if at - said < STALE
        ]  # fmt: skip
        lines += [
            Text(f"  ⚡ {subject}: {what}, for {format_duration(round(max(at - since, 0.0)))}", style="red")
            for (subject, what), since in self._faults.items()
        ]
        resources = self._resource_line(at, width)
        if resources:
            lines.append(Text(f"  {resources}", style="dim"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n", no_wrap=True).join(lines)

    def _head(self, at: float) -> Text:
        line = Text(f"{at:7.1f} s  ")
        if self._stage is None:
            return line.append("…")
        name, since = self._stage
        line.append(name, style="bold")
        line.append(f" for {format_duration(round(at - since))}")
        planned = self._planned.get(name, 0.0)
        if planned:
            line.append(f", about {format_duration(round(planned))} planned")
        return line

    def _resource_line(self, at: float, width: int) -> str:
        """Who uses most first, as many as there is room for."""
        known = {
            name: numbers for name, (said, numbers) in self._resources.items() if at - said < STALE and name != "host"
        }
        parts = [
            f"{name} {numbers['cpu']:.2f} CPU {format_size(numbers.get('memory', 0.0))}"
            for name, numbers in sorted(
                known.items(), key=lambda item: (item[0] == OURSELVES, -item[1].get("cpu", 0.0))
            )
            if "cpu" in numbers
        ]
        shown = ""
        for part in parts:
            longer = f"{shown}{SEPARATOR}{part}" if shown else part
            if len(longer) > width - 2:
                break
            shown = longer
        return shown

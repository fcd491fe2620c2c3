"""Which containers run, and what has ended them: the engine tells by itself, and is asked only when something happened.

::

    the engine's events ──▶ thread `events` ──▶ what happened to whom
                                                      │ at once; every 15 s anyhow; every second without events
                                                      ▼
                            thread `looks` ──▶ one look at the container ──▶ its `Life`, restarts, kills ──▶ samplers

Samplers never wait for the engine: one that hangs holds up nobody who reads the kernel's own files.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException

from shakedown.errors import EngineError, ServiceError, ShakedownError

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["Followed", "Life", "Lives"]

ACTIONS = ("start", "die", "oom", "pause", "unpause", "destroy", "rename")
LOOK_EVERY = 15.0  # seconds: what an event that was lost is noticed by
RETRY = 1.0
FIRST_LOOK = 5.0  # seconds that the first reading waits for it
ONE_KILL = 1.0  # seconds: under cgroup version 1 the engine tells of one kill many times


@dataclass(frozen=True, slots=True)
class Life:
    """A container from one start to its end."""

    container: str
    pid: int
    status: str
    started: str
    host_network: bool

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the container's other lives."""
        return self.container, self.started


@dataclass(slots=True)
class _Kills:
    """For want of memory, in one life."""

    counted: int | None = None  # by the kernel, as it was last read
    told: int = 0  # by the engine
    flagged: bool = False
    ended: bool = False

    @property
    def number(self) -> int:
        if self.counted is None:
            return max(self.told, int(self.flagged))
        # What ended it could not be read any more.
        return max(self.counted, int(self.flagged or (self.ended and self.told > 0)))


class Followed:
    """What is known of one container, by its name or identity at the time of asking.

    Attributes:
        life: the present one, or the last; None before the first look and when the container is gone.
        problem: why it may not be as it is now.
        restarts: how often it began anew since it is followed, by whatever means, as another container too.
    """

    def __init__(self, wanted: Callable[[], str | None]) -> None:
        self.wanted = wanted
        self.life: Life | None = None
        self.problem: ShakedownError | None = None
        self.restarts = 0
        self.looked = threading.Event()
        self.happened: deque[tuple[str, float]] = deque()  # written by one thread, read by another
        self.due = 0.0
        self._kills: dict[tuple[str, str], _Kills] = {}
        self._last_told = float("-inf")

    @property
    def oom_kills(self) -> int:
        """Processes of it that the kernel killed for want of memory since it is followed; as far as it is known."""
        return sum(kills.number for kills in list(self._kills.values()))

    def count_kills(self, life: Life, number: int) -> None:
        """What the kernel has counted in a life."""
        if (kills := self._kills.get(life.key)) is not None:
            kills.counted = number

    def now(self) -> Life:
        """The present life, after the first look.

        Raises:
            ServiceError: the container is gone.
            EngineError: the engine does not tell.
        """
        if not self.looked.is_set() and not self.looked.wait(FIRST_LOOK):
            raise EngineError(f"the Docker engine told nothing within {FIRST_LOOK:g} s")
        if self.life is None:
            raise self.problem or ServiceError("there is no container yet")
        return self.life

    def take(self, life: Life, *, flagged: bool) -> None:
        """What a look has found."""
        events = [self.happened.popleft() for _ in range(len(self.happened))]
        starts = sum(action == "start" for action, _ in events)
        before, new = self.life, self.life is None or self.life.key != life.key
        last = self._kills.get(before.key) if before is not None else None
        present = self._kills.setdefault(life.key, _Kills())
        if new and self.looked.is_set():
            self.restarts += max(starts, 1)  # a look may come after several of them
        begun = not new
        for action, at in events:
            begun = begun or action == "start"
            kills = present if begun else last
            if action == "oom" and kills is not None:
                kills.told += at - self._last_told > ONE_KILL
                self._last_told = at
        if last is not None and new:
            last.ended = True
        present.flagged = present.flagged or flagged
        present.ended = life.status not in ("running", "paused", "restarting")
        self.life, self.problem = life, None
        self.looked.set()

    def lose(self, problem: ShakedownError, *, gone: bool) -> None:
        """A look has failed."""
        self.problem = problem
        if gone and self.life is not None:
            self._kills[self.life.key].ended = True
        if gone:
            # What comes under its name later is another life; a restart is counted then.
            self.life = None
        self.looked.set()


class Lives:
    """Follows containers of one engine."""

    def __init__(self, client: "DockerClient") -> None:
        self._client = client
        self._followed: list[Followed] = []
        self._closed, self._wake = threading.Event(), threading.Event()
        self._stream: Any = None
        self._connected = False
        self._spent = [0.0, 0.0]
        self._threads = [
            threading.Thread(target=self._listen, name="container-events", daemon=True),
            threading.Thread(target=self._look, name="container-looks", daemon=True),
        ]

    @property
    def cpu(self) -> float:
        """Seconds of CPU that following has taken."""
        return sum(self._spent)

    def follow(self, wanted: Callable[[], str | None]) -> Followed:
        """Follow a container, which may be another one from time to time."""
        followed = Followed(wanted)
        self._followed.append(followed)
        if self._threads[0].ident is None:
            for thread in self._threads:
                thread.start()
        self._wake.set()
        return followed

    def close(self) -> None:
        """End."""
        self._closed.set()
        self._wake.set()
        if self._stream is not None:
            self._stream.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(2.0)

    # ---------------------------------------------------------------------------------------------------------- threads
    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._stream = self._client.events(decode=True, filters={"type": "container", "event": list(ACTIONS)})
                self._connected = True
                for followed in self._followed:  # what happened before is not told
                    followed.due = 0.0
                self._wake.set()
                for event in self._stream:
                    self._tell(event)
                    self._spent[0] = time.thread_time()
            except Exception:  # noqa: BLE001, S110 - whichever library's: it is tried again, and looks go on meanwhile
                pass
            self._connected = False
            self._spent[0] = time.thread_time()
            self._closed.wait(RETRY)

    def _tell(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor", {})
        names = (actor.get("ID"), actor.get("Attributes", {}).get("name"))
        for followed in self._followed:
            life = followed.life
            if followed.wanted() in names or (life is not None and life.container in names):
                followed.happened.append((str(event.get("Action")), event.get("timeNano", 0) / 1e9))
                followed.due = 0.0
                self._wake.set()

    def _look(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            for followed in self._followed:
                life, wanted = followed.life, followed.wanted()
                another = (
                    life is not None
                    and wanted is not None
                    and wanted != life.container
                    and len(wanted) == len(life.container)
                )
                if time.monotonic() >= followed.due or another:
                    followed.due = time.monotonic() + (LOOK_EVERY if self._connected else RETRY)
                    self._look_at(followed, wanted)
            self._spent[1] = time.thread_time()
            self._wake.wait(RETRY)

    def _look_at(self, followed: Followed, wanted: str | None) -> None:
        if wanted is None:
            followed.lose(ServiceError("there is no container"), gone=True)
            return
        try:
            found = self._client.api.inspect_container(wanted)
        except NotFound:
            followed.lose(ServiceError(f"the container {wanted[:40]} is gone"), gone=True)
        except (DockerException, RequestException, OSError) as error:
            followed.lose(EngineError(f"the Docker engine does not answer: {error}"), gone=False)
        else:
            state = found["State"]
            life = Life(
                found["Id"], int(state.get("Pid") or 0), state["Status"], state["StartedAt"],
                (found.get("HostConfig") or {}).get("NetworkMode") == "host",
            )  # fmt: skip
            followed.take(life, flagged=bool(state.get("OOMKilled")))

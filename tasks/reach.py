"""Whether Prefect's server still answers, and how a run goes on when it does not.

Results lie in our own database; the server only shows them. But Prefect's engine asks it at the beginning and the end of
every flow, six times within a minute or so, and then raises what the connection did: a server that went away would end
a run that is well, after minutes of doing nothing. So each run looks before those moments. A server that is restarted is
waited for; one that stays away is given up, and the run goes on without it, asking it no more than once a stage.
"""

import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.exceptions import PrefectException
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from shakedown.records.judgement import Finding, Severity
from shakedown.session import Session

__all__ = ["UNREACHABLE", "Reach", "reach_of"]

UNREACHABLE = (httpx.HTTPError, PrefectException)  # what Prefect's engine raises when its server is not what it was
ASK_LIMIT = 5.0  # seconds that one question may take
BETWEEN_QUESTIONS = 1.0
ASKED_LATELY = 10.0  # seconds for which an artifact believes the last answer
WAIT_VARIABLE, WAIT = "SHAKEDOWN_PREFECT_WAIT", 60.0

_of_runs: dict[str, "Reach"] = {}
_without = ExitStack()  # settings for as long as a server is given up; a process has one run at a time


def reach_of(session: Session) -> "Reach":
    """The one of a run. The first to ask is the pipeline, in its own flow."""
    if session.run_id not in _of_runs:
        _settings_as_before()
        _of_runs[session.run_id] = Reach(session, whole=_flow_run())
    return _of_runs[session.run_id]


def _settings_as_before() -> None:
    EventsWorker.set_client_override(None)
    with suppress(ValueError):  # those of an earlier run, in a thread's context that is no more
        _without.close()


def _flow_run() -> UUID | None:
    context = FlowRunContext.get()
    return context.flow_run.id if context is not None and context.flow_run is not None else None


@dataclass(slots=True)
class _Told:
    """How a stage's flow run ended, and whether the server knows."""

    flow_run: UUID
    state: State[Any]


@dataclass(slots=True)
class Reach:
    """What a run knows of its server. Only flows may call `wait`; tasks may ask `here`.

    Attributes:
        whole: the pipeline's flow run.
        begun: stages whose body was entered.
    """

    session: Session
    whole: UUID | None
    given_up: bool = False
    begun: set[str] = field(default_factory=set)
    _untold: dict[str, _Told] = field(default_factory=dict)
    _ended: dict[str, _Told] = field(default_factory=dict)
    _client: SyncPrefectClient | None = None
    _asked: float = 0.0
    _here: bool = True
    _noted: bool = False

    def ask(self) -> bool:
        """Ask once. Outside any flow there is no server, and nothing to miss."""
        client = self._of_the_flow()
        if client is not None:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                self._here = client.api_healthcheck() is None
        self._asked = time.monotonic()
        return self._here

    def here(self) -> bool:
        """Whether it answered lately: for what is worth no waiting."""
        if self.given_up:
            return False
        return self._here if time.monotonic() - self._asked < ASKED_LATELY and not self._here else self.ask()

    def wait(self) -> bool:
        """Whether it answers; up to `SHAKEDOWN_PREFECT_WAIT` seconds are given to one that does not, and only once."""
        begun = time.monotonic()
        until = begun + (0.0 if self.given_up else float(os.environ.get(WAIT_VARIABLE) or WAIT))
        while not self.ask():
            if time.monotonic() >= until or self.session.stop.wait(BETWEEN_QUESTIONS):
                self._give_up(time.monotonic() - begun)
                return False
        if self.given_up:
            self._take_up()
        if (waited := time.monotonic() - begun) > BETWEEN_QUESTIONS:
            self.session.say("warning", "", f"Prefect's server did not answer for {waited:.0f} s: waited for it")
        self._tell()
        return True

    def ended(self, stage: str, state: State[Any]) -> None:
        """The stage whose flow goes on here is about to end like this."""
        own = _flow_run()
        if own is not None and own != self.whole:
            self._ended[stage] = _Told(own, State(type=state.type, name=state.name, message=state.message))

    def lost(self, stage: str, error: Exception) -> None:
        """Beginning or end of a stage's flow did not reach the server; an end is told as soon as there is one."""
        if not self.given_up:
            self.session.say("warning", stage, f"Prefect was not told of the stage: {type(error).__name__}: {error}")
        if stage in self._ended:
            self._untold[stage] = self._ended[stage]

    def close(self) -> None:
        """The run is over. What was not sent by now would keep the process for minutes, and never be sent."""
        _of_runs.pop(self.session.run_id, None)
        if self.given_up:
            _forget_unsent()

    # ------------------------------------------------------------------------------------------------------------------
    def _of_the_flow(self) -> SyncPrefectClient | None:
        """A client with less patience than the engine's own; the first question makes it, while the server is there."""
        if self._client is None:
            context = FlowRunContext.get()
            if context is None:
                return None
            settings = {PREFECT_API_URL: str(context.client.api_url).rstrip("/")}
            with temporary_settings(settings):
                self._client = get_client(sync_client=True, httpx_settings={"timeout": ASK_LIMIT})
        return self._client

    def _give_up(self, waited: float) -> None:
        if self.given_up:
            return
        self.given_up = True
        # These stay after the stage's function has returned: what follows is the engine's own call.
        _without.enter_context(
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_LOGGING_TO_API_ENABLED: False})
        )
        EventsWorker.set_client_override(NullEventsClient)
        words = f"Prefect's server did not answer for {waited:.0f} s: the run goes on without it"
        self.session.say("warning", "", words)
        if not self._noted:
            self._noted = True
            cause = "its UI knows no more of this run until it is back; what was measured is in the run's own database"
            self.session.find("run", Finding(Severity.NOTE, words, cause, subject="Prefect"))

    def _take_up(self) -> None:
        self.given_up = False
        _settings_as_before()
        self.session.say("warning", "", "Prefect's server answers again")

    def _tell(self) -> None:
        client = self._client
        while self._untold and client is not None:
            stage, told = self._untold.popitem()
            try:
                client.set_flow_run_state(told.flow_run, told.state, force=True)
            except UNREACHABLE as error:  # a server made anew knows no such run
                self.session.say("warning", "", f"Prefect does not take the end of {stage}: {error}")


def _forget_unsent() -> None:
    """Drop what waits to be sent to a server that is not there. Prefect has no public way to do so."""
    services = getattr(EventsWorker, "_instances", {})
    for service in list(services.values()):
        waiting = getattr(service, "_queue", None)
        if waiting is not None:
            with waiting.mutex:
                waiting.queue.clear()

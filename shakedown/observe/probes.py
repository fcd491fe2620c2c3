"""Values of the plan's own, read from databases, caches, HTTP answers and programs."""

import asyncio
import contextlib
import json
import math
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as LateError
from typing import Any, TypeVar

import httpx

from shakedown.errors import ServiceError
from shakedown.plan.extracts import compile_path
from shakedown.plan.probes import URL_PORT, Probe, dotted
from shakedown.services.handle import Handle

__all__ = ["ProbeReader", "first_number"]

T = TypeVar("T")
Inside = Callable[[list[str]], tuple[int, str]]

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class ProbeReader:
    """Reads one probe of one service, no more often than it says.

    Args:
        name: of the series.
        inside: runs a command inside the service's container; None runs it on this machine.
        redact: takes secrets out of what is told of a failure.
    """

    def __init__(
        self, name: str, probe: Probe, handle: Handle, *, inside: Inside | None, redact: Callable[[str], str]
    ) -> None:
        self._name, self._probe, self._handle, self._inside, self._redact = name, probe, handle, inside, redact
        self._loop: _Loop | None = None
        self._client: Any = None
        self._http: httpx.Client | None = None
        self._next = 0.0

    def read(self, *, whole: bool = False) -> dict[str, float]:
        """The value under the series' name; empty when it is not due yet, and `whole` does not insist.

        Raises:
            ServiceError: it could not be read, or is no number.
        """
        now = time.monotonic()
        if now < self._next and not whole:
            return {}
        self._next = now + self._probe.every * 0.9  # rounds are not exactly as far apart as they mean to be
        try:
            value = self._value()
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - of whichever library: the reader says what failed
            raise ServiceError(self._redact(f"{self._name}: {type(error).__name__}: {error}")) from None
        if not math.isfinite(value):
            raise ServiceError(f"{self._name}: {value} is no number to compare with")
        return {self._name: value}

    def close(self) -> None:
        """Close its connections."""
        loop, client, self._loop, self._client = self._loop, self._client, None, None
        if self._http is not None:
            self._http.close()
        if loop is None:
            return
        if client is not None:
            closing = client.dispose() if hasattr(client, "dispose") else client.aclose()
            loop.run(closing, self._probe.timeout)
        loop.close()

    def _value(self) -> float:
        if self._probe.http is not None:
            return self._of_http()
        if self._probe.command is not None:
            return self._of_command(self._probe.command)
        self._client = self._client or self._connect()
        self._loop = self._loop or _Loop()
        return self._loop.run(self._of_sql() if self._probe.sql is not None else self._of_redis(), self._probe.timeout)

    def _of_http(self) -> float:
        port, _, path = str(self._probe.http).partition(":")
        url = self._handle.addresses[port].url + path
        self._http = self._http or httpx.Client(timeout=self._probe.timeout, trust_env=False)
        answer = self._http.get(url)
        answer.raise_for_status()
        if self._probe.json_ is None:
            return first_number(answer.text, url)
        found = compile_path(dotted(self._probe.json_))(json.loads(answer.content))
        if len(found) == 1 and isinstance(found[0], int | float | str) and not isinstance(found[0], bool):
            with contextlib.suppress(ValueError):  # a text that is a number will do: Prometheus answers so
                return float(found[0])
        raise ServiceError(f"{self._name}: {self._probe.json_} of {url} is no number: {found!r:.100}")

    def _of_command(self, command: list[str]) -> float:
        if self._inside is not None:
            code, output = self._inside(command)
        else:
            done = subprocess.run(  # noqa: S603 - the user's own, from their plan
                command, capture_output=True, text=True, timeout=self._probe.timeout, check=False
            )
            code, output = done.returncode, done.stdout or done.stderr
        if code:
            raise ServiceError(f"{self._name}: {shlex.join(command)} ended with {code}: {output.strip()[-200:]}")
        return first_number(output, shlex.join(command))

    def _connect(self) -> Any:
        """A client for the probe's database; nothing is sent yet. What it needs is loaded here: that takes its time."""
        if self._probe.sql is not None:
            from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - only where it is used

            return create_async_engine(self._url())
        import redis.asyncio  # noqa: PLC0415 - only where it is used

        return redis.asyncio.from_url(self._url(), single_connection_client=True)

    async def _of_sql(self) -> float:
        from sqlalchemy import text  # noqa: PLC0415 - loaded by now

        async with self._client.connect() as connection:
            value = (await connection.execute(text(str(self._probe.sql)))).scalar()
        if isinstance(value, bool) or value is None:
            raise ServiceError(f"{self._name}: the query's first value is {value}, no number")
        return float(value)

    async def _of_redis(self) -> float:
        reply = await self._client.execute_command(*shlex.split(str(self._probe.redis)))
        if self._probe.field is not None:
            reply = reply.get(self._probe.field) if isinstance(reply, dict) else None
        if isinstance(reply, bytes):
            reply = reply.decode(errors="replace")
        if isinstance(reply, bool) or not isinstance(reply, int | float | str):
            raise ServiceError(f"{self._name}: the reply is no number: {reply!r:.100}")
        return float(reply)

    def _url(self) -> str:
        def place(match: re.Match[str]) -> str:
            address = self._handle.addresses[match[1]]
            return f"{address.host}:{address.port}"

        return URL_PORT.sub(place, str(self._probe.url))


class _Loop:
    """An event loop in a thread of its own, for clients that need one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="probe", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], limit: float) -> T:
        """Run something there to its end.

        Raises:
            ServiceError: it did not end in time.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit)
        except LateError:
            future.cancel()
            raise ServiceError(f"no answer within {limit:g} s") from None

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)


def first_number(text: str, what: str) -> float:
    """The first number in a text.

    Raises:
        ServiceError: there is none.
    """
    found = _NUMBER.search(text)
    if found is None:
        raise ServiceError(f"{what} gave no number: {text.strip()[:100] or 'nothing'}")
    return float(found[0])

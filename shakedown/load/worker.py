"""The load worker: a process of its own, told what to do on standard input, telling what it measured on standard output.

::

    parent → worker    one line: the job; then `go <monotonic>`; then `stop`, or the end of the stream (the parent died)
    worker → parent    `ready`; `delta {…}` twice a second; at last `done {…}`, or `failed "…"` at any time
"""

import asyncio
import gc
import json
import os
import queue
import signal
import sys
import threading
import time

from shakedown.errors import ShakedownError
from shakedown.load.codec import encode_delta
from shakedown.load.engine import Engine, cpu_seconds
from shakedown.load.spec import LoadSpec
from shakedown.records.load import LoadDelta

__all__ = ["main"]

OTHER_FILES = 256


class _Voice:
    """Says lines from a thread of its own: a parent that does not listen for a while must not hold up the load."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def say(self, word: str, data: object = None) -> None:
        """Say a line, soon; lines keep their order."""
        self._lines.put(f"{word} {json.dumps(data)}\n" if data is not None else f"{word}\n")

    def finish(self) -> None:
        """Wait until everything is said."""
        self._lines.put(None)
        self._thread.join()

    def _speak(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                sys.stdout.write(line)
                sys.stdout.flush()
            except (OSError, ValueError):  # nobody is left who listens
                os._exit(1)


def main() -> None:
    """Run as a worker: `python -m shakedown.load.worker`."""
    # Ctrl-C reaches the whole terminal; whether the load ends is for the parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = json.loads(sys.stdin.readline())
    spec = LoadSpec.model_validate(job["spec"])
    _allow_connections(spec)
    # A collection of garbage stops the loop. What is there now stays, and requests make hardly any that needs one.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    voice = _Voice()
    try:
        _run(spec, int(job["shard"]), voice)
    except ShakedownError as error:
        voice.say("failed", str(error))
    finally:
        voice.finish()


def _allow_connections(spec: LoadSpec) -> None:
    """Raise the limit of open files to what the users need, as far as that is allowed."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not there on every platform

    wanted = OTHER_FILES + spec.executor.most_vus
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _run(spec: LoadSpec, shard: int, voice: _Voice) -> None:
    def emit(delta: LoadDelta) -> None:
        voice.say("delta", encode_delta(delta))

    async def run() -> None:
        loop = asyncio.get_running_loop()
        engine = Engine(spec, shard, emit, loop)  # reads data and compiles templates, before the clock runs
        await engine.open()
        voice.say("ready")
        word, _, instant = sys.stdin.readline().partition(" ")
        if word != "go":
            return
        start = float(instant)
        loop.add_signal_handler(signal.SIGTERM, engine.stop)

        def listen() -> None:
            line = sys.stdin.readline()
            if not line:  # the parent is gone: nobody is left to load anything for
                os._exit(1)
            loop.call_soon_threadsafe(engine.stop)

        threading.Thread(target=listen, daemon=True).start()
        cpu, begun = cpu_seconds(), time.monotonic()
        await engine.run(start)
        wall = max(time.monotonic() - max(begun, start), 1e-9)
        health = {
            "cpu": (cpu_seconds() - cpu) / wall,
            "lag_p99": engine.lateness.quantile(0.99) or 0.0,
            "end": engine.at(engine.end_at),
            "unreleased": engine.unreleased,
            "stopped": engine.stopped,
        }
        voice.say("done", health)

    _new_loop(run)


def _new_loop(run: object) -> None:
    """Uvloop where there is one (it does not exist for Windows)."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        asyncio.run(run())  # type: ignore[operator]
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())  # type: ignore[operator]


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the listening thread waits for a line that will not come

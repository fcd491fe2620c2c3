"""Shards of a load as Prefect tasks, under any of its task runners.

While they run, the orchestrator and its shards speak through variables of the Prefect server, which every task reaches
in any case: one with the orchestrator's word, one for each shard that is ready. Whoever makes a shard's variable first
is that shard; a second one of the same number (a task that a cluster repeated) gets a conflict, and sends nothing.
"""

import logging
import queue
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from shakedown.errors import LoadError
from shakedown.load.parcels import pack
from shakedown.load.shards import Ready, ShardJob, Word, run_shard
from shakedown.load.spread import Crew
from shakedown.plan.hosts import is_loopback
from shakedown.plan.model import Shards
from shakedown.plan.sharding import cluster_is_here

__all__ = ["launch_shards", "shard"]

_UNREACHABLE = (httpx.HTTPError, PrefectHTTPStatusError, OSError)


class _Server:
    """The variables of one load."""

    def __init__(self, client: SyncPrefectClient, token: str) -> None:
        self._client = client
        self._token = token

    def _name(self, part: str) -> str:
        return f"shakedown-{self._token}-{part}"

    def make(self, part: str, value: str) -> bool:
        """False: it is there already."""
        try:
            self._client.create_variable(VariableCreate(name=self._name(part), value=value))
        except ObjectAlreadyExists:
            return False
        return True

    def put(self, part: str, value: str) -> None:
        self._client.update_variable(VariableUpdate(name=self._name(part), value=value))

    def get(self, part: str) -> str | None:
        found = self._client.read_variable_by_name(self._name(part))
        return None if found is None else str(found.value)

    def drop(self, part: str) -> None:
        try:
            self._client.delete_variable_by_name(self._name(part))
        except (ObjectNotFound, *_UNREACHABLE):  # the load is over whether its notes are gone or not
            return


class _Line:
    """A shard's side."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def claim(self, index: int, ready: Ready) -> bool:
        try:
            return self._server.make(f"ready-{index}", ready.model_dump_json())
        except _UNREACHABLE as error:
            raise LoadError(f"the Prefect server cannot be reached from {ready.host}: {error}") from error

    def word(self) -> Word | None:
        try:
            text = self._server.get("word")
        except _UNREACHABLE:
            return None
        return Word(stop=True) if text is None else Word.model_validate_json(text)


@task(name="shard", task_run_name="{name}", cache_policy=NO_CACHE, retries=0, persist_result=False)
def shard(name: str, job: str, token: str) -> bytes:  # noqa: ARG001 - the name is for the UI
    """One shard of a load, on whatever machine the task runner chose; its outcome, packed."""
    with get_client(sync_client=True) as client:
        return pack(run_shard(ShardJob.model_validate_json(job), _Line(_Server(client, token))))


class _Crew:
    """The orchestrator's side."""

    def __init__(self, server: _Server, futures: Sequence[PrefectFuture[bytes]]) -> None:
        self._server = server
        self._unready = set(range(len(futures)))
        self._done: queue.SimpleQueue[tuple[int, PrefectFuture[bytes]]] = queue.SimpleQueue()
        for index, future in enumerate(futures):
            future.add_done_callback(self._noting(index))

    def _noting(self, index: int) -> Callable[[PrefectFuture[bytes]], None]:
        return lambda future: self._done.put((index, future))

    def say(self, word: Word) -> None:
        try:
            self._server.put("word", word.model_dump_json())
        except (ObjectNotFound, *_UNREACHABLE):  # said again with the next beat; without beats the shards end
            return

    def ready(self) -> Mapping[int, Ready]:
        found = {}
        for index in sorted(self._unready):
            try:
                text = self._server.get(f"ready-{index}")
            except _UNREACHABLE:
                break
            if text is not None:
                found[index] = Ready.model_validate_json(text)
        self._unready -= set(found)
        return found

    def ended(self) -> Mapping[int, bytes | BaseException]:
        found: dict[int, bytes | BaseException] = {}
        while not self._done.empty():
            index, future = self._done.get()
            try:
                found[index] = future.result()
            except Exception as error:  # noqa: BLE001 - whatever a cluster has to say of a lost task
                found[index] = error
        return found


@contextmanager
def launch_shards(shards: Shards, jobs: Sequence[ShardJob], word: Word) -> Iterator[Crew]:
    """Send shards out under the task runner that the plan names.

    Raises:
        LoadError: the runner's extra is not installed, its cluster cannot be reached, or it could not reach us.
    """
    token = secrets.token_hex(8)
    with get_client(sync_client=True) as client:
        url = str(client.api_url).rstrip("/")
        if not cluster_is_here(shards.address) and is_loopback(httpx.URL(url).host):
            raise LoadError(
                f"shards at {shards.address} cannot reach the Prefect server at {url}",
                hint="start one that all machines reach (`prefect server start --host …`) and set PREFECT_API_URL",
            )
        server = _Server(client, token)
        server.make("word", word.model_dump_json())
        try:
            # Tasks in other processes are to speak with this run's server, not to start one of their own.
            with temporary_settings({PREFECT_API_URL: url}), _started(_runner(shards), shards) as runner:
                crew = _Crew(server, [_submit(runner, shards, job, token) for job in jobs])
                try:
                    yield crew
                finally:
                    crew.say(Word(beat=-1, stop=True))  # before the runner waits for those that still run
        finally:
            for part in ("word", *(f"ready-{job.index}" for job in jobs)):
                server.drop(part)


def _submit(runner: TaskRunner[Any], shards: Shards, job: ShardJob, token: str) -> PrefectFuture[bytes]:
    parameters = {"name": f"{job.name} of {job.spec.label}", "job": job.model_dump_json(by_alias=True), "token": token}
    if shards.runner != "ray":
        return runner.submit(shard, parameters=parameters)  # type: ignore[no-any-return]
    with _extra("prefect_ray.context").remote_options(max_retries=0):
        return runner.submit(shard, parameters=parameters)  # type: ignore[no-any-return]


@contextmanager
def _started(runner: TaskRunner[Any], shards: Shards) -> Iterator[TaskRunner[Any]]:
    if shards.runner != "dask":
        with runner:
            yield runner
        return
    logging.getLogger("distributed").setLevel(logging.WARNING)  # a line for each connection otherwise
    # A task whose worker died must not be tried on another one. A scheduler that is there has a setting of its own;
    # there the claim keeps the second try from sending anything.
    with _extra("dask").config.set({"distributed.scheduler.allowed-failures": 0}), runner:
        try:
            getattr(runner, "client")  # noqa: B009 - connects, or starts a cluster; no attribute of all runners
        except (OSError, TimeoutError) as error:
            raise LoadError(f"no Dask cluster answers at {shards.address}: {error}") from error
        yield runner


def _runner(shards: Shards) -> TaskRunner[Any]:
    runner: TaskRunner[Any]
    try:
        match shards.runner, shards.address:
            case "thread", _:
                runner = ThreadPoolTaskRunner(max_workers=shards.count)
            case "process", _:
                runner = ProcessPoolTaskRunner(max_workers=shards.count)
            case "dask", None:
                cluster = {"n_workers": shards.count, "threads_per_worker": 1, "dashboard_address": None}
                runner = _extra("prefect_dask.task_runners").DaskTaskRunner(cluster_kwargs=cluster)
            case "dask", address:
                runner = _extra("prefect_dask.task_runners").DaskTaskRunner(address=address)
            case "ray", None:
                cluster = {"num_cpus": shards.count, "include_dashboard": False}
                runner = _extra("prefect_ray.task_runners").RayTaskRunner(init_kwargs=cluster)
            case _, address:
                runner = _extra("prefect_ray.task_runners").RayTaskRunner(address=address)
    except ImportError as error:
        raise LoadError(
            f"the {shards.runner} runner is not installed: {error}", hint=f"install `shakedown[{shards.runner}]`"
        ) from error
    return runner


def _extra(name: str) -> Any:
    """A module of an extra, which need not be installed."""
    return import_module(name)

"""Shakedown's own load, as a run starts it: workers in processes, a schedule, checks, all statistics.

`our_client.py '{"port": …, "executor": {…}, "workers": 1}'`; at the end of the load its result, as a line of JSON.
"""  # noqa: INP001

import json
import sys
import tempfile
import threading
import time

from pydantic import TypeAdapter

from shakedown.load import LoadHandle, LoadSpec
from shakedown.load.spec import Target
from shakedown.plan.executors import Executor
from shakedown.plan.scenarios import Http, Request, Scenario
from shakedown.records.histogram import Histogram


def main() -> None:
    """Run one load."""
    job = json.loads(sys.argv[1])
    executor: Executor = TypeAdapter(Executor).validate_python(job["executor"])
    request = Request(name="r", get="/", checks=["status == 200"])
    with tempfile.TemporaryDirectory() as folder:
        spec = LoadSpec(
            label="bench", scenario="bench", stage="bench", duration=executor.longest, seed=1, ledger_dir=folder,
            work=Scenario(executor=executor, http=Http(target="a.http", requests=[request])),
            target=Target(host="127.0.0.1", port=job["port"]), workers=job.get("workers", 1), origin=time.monotonic(),
        )  # fmt: skip
        load = LoadHandle(spec, lambda _: None)
        load.start()
        result = load.wait(threading.Event())
    opening, lags, service = Histogram(), Histogram(), Histogram()
    for second, lag in result.start_lag.items():  # the first second opens the connections
        (opening if second < result.start + 1 else lags).merge(lag)
    for bucket in result.buckets.values():
        service.merge(bucket.service)
    found = {
        "ok": result.counts.ok, "failed": result.counts.failed, "scheduled": result.counts.scheduled,
        "dropped": result.counts.dropped, "problems": result.counts.problems(), "rate_held": result.rate_held,
        "starved": result.generator.starved, "lag_p50": lags.quantile(0.5), "lag_p99": lags.quantile(0.99),
        "opening_p99": opening.quantile(0.99),
        "service_p50": service.quantile(0.5),
    }  # fmt: skip
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()

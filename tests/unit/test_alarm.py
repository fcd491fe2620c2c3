"""Waking a loop at an instant, with and without the kernel's timers."""

import asyncio
import time

import pytest

from shakedown.load.alarm import Alarm


@pytest.fixture(params=["as here", "no timerfd"])
def make_alarm(request, monkeypatch):
    """Makes alarms as this system has them, and as systems without Linux's timers have them."""
    if request.param == "no timerfd":
        monkeypatch.setattr("shakedown.load.alarm.sys.platform", "darwin")
    return lambda: Alarm(asyncio.get_running_loop())


def test_an_alarm_rings_at_its_instant(make_alarm):
    """It rings after its instant, or so little before it that looking at the clock again settles it."""

    async def sleep() -> tuple[float, int]:
        alarm = make_alarm()
        due, rings = time.monotonic() + 0.05, 0
        while time.monotonic() < due:
            await alarm.sleep_until(due)
            rings += 1
        alarm.close()
        return time.monotonic() - due, rings

    late, rings = asyncio.run(sleep())
    assert late >= 0
    assert rings <= 3


def test_a_woken_alarm_does_not_sleep_on(make_alarm):
    """A stop ends the sleep to an arrival that is an hour away."""

    async def sleep() -> None:
        alarm = make_alarm()
        asyncio.get_running_loop().call_later(0.02, alarm.wake)
        async with asyncio.timeout(30):
            await alarm.sleep_until(time.monotonic() + 3600)
        alarm.close()

    asyncio.run(sleep())


def test_an_alarm_of_the_past_rings_at_once(make_alarm):
    """What is due already is not waited for."""

    async def sleep() -> None:
        alarm = make_alarm()
        async with asyncio.timeout(30):
            await alarm.sleep_until(time.monotonic() - 5)
        alarm.close()

    asyncio.run(sleep())

"""Test suites of the user's own, run as processes on this machine or inside a container.

=========  ======================================================================
runner     one execution of a suite
places     where it runs
outcomes   how its tests ended: our plugins' lines, TAP, JUnit XML
plugin/    what runs inside the user's own Python: a pytest plugin, unittest
=========  ======================================================================
"""

from shakedown.suites.places import place_of
from shakedown.suites.runner import run_suite

__all__ = ["place_of", "run_suite"]

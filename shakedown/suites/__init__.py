"""Test suites of the user's own, run as processes.

=========  ======================================================================
runner     one execution of a pytest suite
reporter   the plugin that writes each test's outcome as it happens
=========  ======================================================================
"""

from shakedown.suites.runner import run_suite

__all__ = ["run_suite"]

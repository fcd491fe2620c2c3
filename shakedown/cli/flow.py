"""The flow for deployments in folders of one's own: `entrypoint: shakedown.cli.flow.pipeline`.

Prefect looks for an entry point's modules in the deployment's folder first, where `flows` may be somebody else's package.
"""

import sys
from importlib import import_module
from pathlib import Path

__all__ = ["pipeline"]


def _know_our_packages() -> None:
    """Import the packages beside ours from where ours is, whatever else has their names."""
    ours = str(Path(__file__).resolve().parents[2])
    sys.path.insert(0, ours)
    try:
        for name in ("flows", "tasks", "templates"):
            import_module(name)
    finally:
        sys.path.remove(ours)


_know_our_packages()

from flows.pipeline import pipeline  # noqa: E402 - only now it is certain whose

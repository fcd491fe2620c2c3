"""The grid on which clients' successes and failures are counted."""

__all__ = ["SLOT", "slot_of"]

SLOT = 0.1  # seconds: the resolution of every time to detect and time to recover


def slot_of(at: float) -> int:
    """The slot that an instant lies in."""
    return int(at / SLOT + 1e-9)

"""What an allocation raises."""

from __future__ import annotations

from optrl.errors import OptrlError


class AllocationError(OptrlError):
    """An allocation's numbers do not fit each other, or it cannot be solved as asked."""

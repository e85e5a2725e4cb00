"""Telling a training that diverges from one that is noisy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

_WINDOW = 100
"""Losses that the next ones are held against."""
_FEWEST = 10
"""Losses before which none counts as exploded."""
_IN_A_ROW = 3


class LossWatch:
    """Watches the losses of a training.

    Diverged is a loss or gradient that is no finite number, at once; or a loss above `exploding`
    times the median of the absolute losses before, three updates in a row: a single batch may
    be odd.

    Args:
        exploding: See `LearnerSettings.exploding`.
    """

    def __init__(self, exploding: float | None) -> None:
        self.exploding = exploding
        self._losses: list[float] = []
        self._suspicious = 0

    @property
    def calm(self) -> bool:
        """Whether the last loss was no suspicious one, so that its state may be kept."""
        return self._suspicious == 0

    def see(self, metrics: Mapping[str, float]) -> str | None:
        """Take the metrics of an update; the reason where they show divergence, else None."""
        for name in ("loss", "gradient_norm"):
            if name in metrics and not math.isfinite(metrics[name]):
                return f"{name} is {metrics[name]}"
        loss = metrics.get("loss")
        if loss is None:
            return None
        if self.exploding is not None and len(self._losses) >= _FEWEST:
            usual = statistics.median(map(abs, self._losses))
            if loss > self.exploding * usual > 0:
                self._suspicious += 1
                if self._suspicious < _IN_A_ROW:
                    return None
                return f"loss is {loss:.4g}, {loss / usual:.0f} times what it was"
        self._suspicious = 0
        self._losses = [*self._losses[-_WINDOW + 1 :], loss]
        return None

    def as_json(self) -> list[float]:
        """The losses seen, for a checkpoint; taken while `calm`."""
        return self._losses

    def restore(self, losses: Sequence[float]) -> None:
        """Go back to what `as_json` gave."""
        self._losses = [float(loss) for loss in losses]
        self._suspicious = 0

"""The figure of several event studies, side by side at each event time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impact import plots
from impact.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_studies"]

COLOURS = ("#1d4e89", "#c8553d", "#2f7d5b", "#7a4b94", "#b8860b", "#4a6572", "#a23b72", "#5b8c5a")
MARKERS = "osD^vPX*"


def draw_studies(
    shown: Sequence[tuple[str, Result]], *, ax: Axes | None = None, level: float = 0.95
) -> Axes:
    """Draw labelled event studies in one figure; on new axes if none are given."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(8.0, 4.4), layout="constrained")
    for j, (label, study) in enumerate(shown):
        frame = study.tidy(level)
        x = frame["event_time"] + (j - (len(shown) - 1) / 2) * 0.72 / len(shown)
        colour = COLOURS[j % len(COLOURS)]
        ax.vlines(x, frame["conf_low"], frame["conf_high"], color=colour, lw=1.6, alpha=0.7)
        marker = MARKERS[j % len(MARKERS)]
        ax.plot(x, frame["estimate"], marker, color=colour, ms=4.5, label=label)
    ax.axhline(0.0, color=plots.INK, lw=0.8)
    ax.axvline(-0.5, color=plots.QUIET, lw=0.8, ls=(0, (4, 3)))
    ax.set_xlabel("Periods since treatment began")
    ax.set_ylabel(f"Effect on {shown[0][1].design.outcome}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False, ncols=2)
    return ax

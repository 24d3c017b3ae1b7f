"""Figures from tidy frames and arrays; each returns the Axes it drew on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cells", "coefficients", "event_study", "treatment_timing"]

Floats = NDArray[np.float64]

INK = "#1f2a37"
QUIET = "#6b7280"
BLUE = "#1d4e89"
ORANGE = "#c8553d"
PALE = "#dbe4ee"


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(width, height), layout="constrained")
    return axes


def _clear(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.tick_params(colors=INK, labelsize=9)


def event_study(
    frame: pd.DataFrame, *, ax: Axes | None = None, outcome: str = "", level: float = 0.95
) -> Axes:
    """Draw effects by event time: points, pointwise intervals (thick), bands (thin).

    Parameters
    ----------
    frame : tidy frame with event_time, estimate, conf_low, conf_high, band_low, band_high
    """
    ax = _axes(ax, 7.0, 4.0)
    frame = frame.sort_values("event_time")
    for before, colour in ((True, QUIET), (False, BLUE)):
        part = frame[(frame["event_time"] < 0) == before]
        x = part["event_time"].to_numpy(dtype=float)
        ax.vlines(x, part["band_low"], part["band_high"], color=colour, lw=1.0)
        ax.vlines(x, part["conf_low"], part["conf_high"], color=colour, lw=3.0, alpha=0.55)
        label = "before treatment" if before else "after treatment"
        ax.plot(x, part["estimate"], "o", color=colour, ms=5.5, label=label, zorder=3)
    ax.axhline(0.0, color=INK, lw=0.8)
    ax.axvline(-0.5, color=QUIET, lw=0.8, ls=(0, (4, 3)))
    times = frame["event_time"].to_numpy(dtype=int)
    if len(times) <= 24:
        ax.set_xticks(times)
    ax.set_xlabel("Periods since treatment began")
    ax.set_ylabel(f"Effect on {outcome}" if outcome else "Effect")
    ax.set_title(
        f"{level:.0%} intervals (thick: one at a time; thin: all at once)",
        fontsize=9, color=QUIET, loc="left",
    )  # fmt: skip
    _clear(ax)
    return ax


def coefficients(
    frame: pd.DataFrame, *, ax: Axes | None = None, outcome: str = "", label: str = "term"
) -> Axes:
    """Draw one estimate a line with its interval and band, first row on top."""
    ax = _axes(ax, 7.0, 0.9 + 0.36 * len(frame))
    y = np.arange(len(frame))[::-1]
    ax.hlines(y, frame["band_low"], frame["band_high"], color=BLUE, lw=1.0)
    ax.hlines(y, frame["conf_low"], frame["conf_high"], color=BLUE, lw=3.0, alpha=0.55)
    ax.plot(frame["estimate"], y, "o", color=BLUE, ms=5.5, zorder=3)
    ax.axvline(0.0, color=INK, lw=0.8)
    ax.set_yticks(y, [str(v) for v in frame[label]])
    ax.set_ylim(-0.6, len(frame) - 0.4)
    ax.set_xlabel(f"Effect on {outcome}" if outcome else "Effect")
    _clear(ax)
    return ax


def cells(frame: pd.DataFrame, *, outcome: str = "") -> NDArray[np.object_]:
    """Draw group-time effects, one panel a cohort; returns the array of Axes."""
    import matplotlib.pyplot as plt

    cohorts = np.unique(frame["cohort"].dropna())
    rows = (len(cohorts) + 2) // 3
    columns = min(len(cohorts), 3)
    _, axes = plt.subplots(
        rows, columns, figsize=(3.2 * columns + 0.6, 2.7 * rows), sharex=True, sharey=True,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for ax, cohort in zip(axes.flat, cohorts, strict=False):
        part = frame[frame["cohort"] == cohort]
        colours = np.where(part["event_time"] < 0, QUIET, BLUE)
        ax.vlines(part["time"], part["band_low"], part["band_high"], colors=list(colours), lw=1.0)
        ax.scatter(part["time"], part["estimate"], c=list(colours), s=22, zorder=3)
        ax.axhline(0.0, color=INK, lw=0.8)
        ax.set_title(f"first treated {cohort:g}", fontsize=9, loc="left", color=INK)
        _clear(ax)
    for ax in axes.flat[len(cohorts) :]:
        ax.set_visible(False)
    axes[0, 0].set_ylabel(f"Effect on {outcome}" if outcome else "Effect")
    return np.asarray(axes)


def treatment_timing(
    treatment: Floats,
    periods: NDArray[np.int64],
    *,
    ax: Axes | None = None,
    unit: str = "units",
    time: str = "",
) -> Axes:
    """Draw who is treated when: one line a unit, sorted by the first treated period.

    Parameters
    ----------
    treatment : array, shape (N, T), 0 or 1; NaN where unobserved (left white)
    periods : array, shape (T,)
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    ax = _axes(ax, 7.0, 4.0)
    on = np.nan_to_num(treatment) > 0
    first = np.where(on.any(axis=1), np.argmax(on, axis=1), treatment.shape[1])
    order = np.lexsort((np.arange(len(first)), -on.sum(axis=1), first))
    picture = np.ma.masked_invalid(treatment[order])
    step = 0.5
    edges = np.concatenate((periods - step, [periods[-1] + step])).astype(float)
    ax.pcolormesh(
        edges, np.arange(len(picture) + 1), picture, cmap=ListedColormap([PALE, ORANGE]),
        vmin=0, vmax=1, rasterized=True,
    )  # fmt: skip
    ax.invert_yaxis()
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    ax.set_xlabel(time)
    ax.set_ylabel(f"{len(picture):,} {unit}")
    handles = [Patch(color=PALE, label="untreated"), Patch(color=ORANGE, label="treated")]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2,
              frameon=False, fontsize=9)  # fmt: skip
    _clear(ax)
    return ax

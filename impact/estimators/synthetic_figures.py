"""Figures of a synthetic control: paths and gap, donors' weights, fans of placebos, a map."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import EstimationError, check_choice, listing
from impact.estimators.parts.synthetic_control_fit import SyntheticControlFit
from impact.places import Vintage, codes, crosswalk, provinces, tile_map
from impact.plots import BLUE, INK, ORANGE, PALE, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "donor_map",
    "donor_weights",
    "gap_fan",
    "leave_one_out_fan",
    "paths_and_gap",
    "placebo_fan",
]

Floats: TypeAlias = NDArray[np.float64]
Language: TypeAlias = Literal["en", "vi"]

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "synthetic": "synthetic",
        "gap": "gap",
        "weight": "Weight in the synthetic {}",
        "mean_gap": "Mean gap after treatment",
        "placebos": "{} of {} donors taken as treated",
        "worse": "; those that fit {:g} times worse before are not drawn",
        "without": "without each of {} donors in turn",
    },
    "vi": {
        "synthetic": "tổng hợp",
        "gap": "chênh lệch",
        "weight": "Trọng số trong {} tổng hợp",
        "mean_gap": "Chênh lệch bình quân sau can thiệp",
        "placebos": "{} trong {} đơn vị đối chứng được coi như được can thiệp",
        "worse": "; không vẽ đơn vị khớp kém hơn {:g} lần trước can thiệp",
        "without": "lần lượt bỏ từng đơn vị trong {} đơn vị đối chứng",
    },
}


def paths_and_gap(
    fit: SyntheticControlFit,
    start: float,
    *,
    treated: Hashable = None,
    outcome: str = "",
    language: Language = "en",
) -> NDArray[np.object_]:
    """Draw the treated path against its synthetic one, with the gap below; return both Axes.

    Parameters
    ----------
    start : first treated period
    treated : label of the treated unit; the only one if None

    Raises
    ------
    EstimationError : the fit keeps no paths, or an unknown or unstated treated unit
    """
    import matplotlib.pyplot as plt

    path = _path_of(fit, treated)
    _, axes = plt.subplots(
        2, 1, figsize=(7.0, 5.2), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    above, below = axes
    above.plot(
        path["time"], path["observed"], color=INK, lw=2.0, label=str(path["treated"].iloc[0])
    )
    above.plot(
        path["time"],
        path["synthetic"],
        color=BLUE,
        lw=2.0,
        ls="--",
        label=_WORDS[language]["synthetic"],
    )
    above.set_ylabel(outcome)
    above.legend(frameon=False)
    below.fill_between(path["time"], 0.0, path["gap"], color=PALE)
    below.plot(path["time"], path["gap"], color=ORANGE, lw=1.8)
    below.set_ylabel(_WORDS[language]["gap"])
    for ax in axes:
        _mark(ax, start)
    below.axhline(0.0, color=INK, lw=0.8)
    return np.asarray(axes)


def donor_weights(
    fit: SyntheticControlFit,
    *,
    treated: Hashable = None,
    ax: Axes | None = None,
    language: Language = "en",
) -> Axes:
    """Draw the weights of the donors that have any, the largest on top."""
    column = _column_of(fit, treated)
    weights = fit.unit_weights[column].dropna()
    used = weights[weights > 0.0].sort_values()
    ax = _axes(ax, 0.9 + 0.3 * len(used))
    ax.barh([str(label) for label in used.index], used.to_numpy(), color=BLUE, height=0.6)
    for place, weight in enumerate(used):
        number = _written(f"{weight:.3f}", language)
        ax.annotate(number, (weight, place), (4, 0), textcoords="offset points",
                    va="center", fontsize=8, color=QUIET)  # fmt: skip
    ax.set_xlim(0.0, 1.12 * float(used.max()))
    ax.set_xlabel(_WORDS[language]["weight"].format(column))
    _clear(ax)
    return ax


def donor_map(
    fit: SyntheticControlFit,
    *,
    vintage: Vintage,
    show: Literal["weights", "gaps"] = "weights",
    start: float | None = None,
    treated: Hashable = None,
    ax: Axes | None = None,
    language: Language = "en",
) -> Axes:
    """Draw donors on the tile map of Vietnam's provinces; the treated one is outlined.

    Parameters
    ----------
    vintage : list of provinces the units are named in, 63 or 34 as merged in July 2025; never
        guessed, since seven codes and seven names mean other places across the two
    show : "weights" colours donors by their weight, those without any in grey; "gaps" colours the
        treated province by its mean gap from ``start`` on, and donors by that of their placebo
    start : first treated period, for gaps

    Raises
    ------
    PlaceError : a unit is no province of the vintage
    EstimationError : gaps without ``start`` or without placebos; several treated units, none named
    """
    from matplotlib.patches import Rectangle

    check_choice("show", show, ("weights", "gaps"), EstimationError)
    column, words = _column_of(fit, treated), _WORDS[language]
    if show == "weights":
        weights = fit.unit_weights[column].dropna()
        values, label, form = weights[weights > 0.0], words["weight"].format(column), "{:.2f}"
    else:
        values, label, form = _mean_gaps(fit, start), words["mean_gap"], "{:,.3g}"
    ax = tile_map(values, vintage=vintage, ax=ax, label=label, form=form)
    for tile in ax.texts:
        tile.set_text(_written(tile.get_text(), language))
    code = codes([column], vintage).iloc[0]
    today = crosswalk().set_index("code_63")["code_34"]
    own = [code] if vintage == 63 else list(today.index[today == code])
    for tile in provinces(63).loc[own].to_dict("records"):
        corner = (tile["tile_column"], tile["tile_row"])
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=ORANGE, linewidth=2.4))
    return ax


def _mean_gaps(fit: SyntheticControlFit, start: float | None) -> pd.Series:
    """Return the mean gap from a period on of the treated unit and of each placebo."""
    _need_placebos(fit)
    if start is None:
        raise EstimationError(
            'show="gaps" averages gaps over treated periods: say from which on, start=.'
        )
    unit = fit.placebos.columns[0]
    own = fit.paths.rename(columns={"treated": unit})
    both = pd.concat([own[[unit, "time", "gap"]], fit.placebos], ignore_index=True)
    return both[both["time"] >= start].groupby(unit)["gap"].mean()


def placebo_fan(
    fit: SyntheticControlFit,
    start: float,
    *,
    within: float | None = 5.0,
    ax: Axes | None = None,
    language: Language = "en",
) -> Axes:
    """Draw the treated unit's gap over the gaps of every donor taken as treated.

    Parameters
    ----------
    within : leave out of the drawing, and say so, placebos whose root mean squared gap before
        treatment is more than this many times the treated unit's; None draws all

    Raises
    ------
    EstimationError : the fit has no placebos, or several treated units

    Source
    ------
    Abadie, Diamond and Hainmueller (2010), figures 4-7.
    """
    _need_placebos(fit)
    unit = fit.placebos.columns[0]
    wide = fit.placebos.pivot(index="time", columns=unit, values="gap")
    path = _path_of(fit, None)
    before = wide.index.to_numpy() < start
    size = np.sqrt((wide[before] ** 2).mean())
    limit = np.inf
    if within is not None:
        limit = within * float(np.sqrt(np.mean(path.loc[before, "gap"] ** 2)))
    kept = wide.loc[:, (size <= limit).to_numpy()]
    ax = gap_fan(path, kept, start, ax=ax, language=language)
    title = _WORDS[language]["placebos"].format(kept.shape[1], wide.shape[1])
    if kept.shape[1] < wide.shape[1]:
        title += _WORDS[language]["worse"].format(within)
    ax.set_title(title, fontsize=9, color=QUIET, loc="left")
    return ax


def _need_placebos(fit: SyntheticControlFit) -> None:
    _need_paths(fit)
    if fit.placebos.empty:
        raise EstimationError(
            "this fit holds no placebos of a single treated unit: fit SyntheticControl with one "
            'treated unit and inference="placebo".'
        )


def _need_paths(fit: object) -> None:
    if not isinstance(fit, SyntheticControlFit):
        raise EstimationError(
            f"a {type(fit).__name__} keeps no path of the treated unit and its synthetic one: this "
            'figure draws result.extra["fit"] of SyntheticControl. Draw donor_weights of this fit, '
            "or its effects by event time: result.event_study().plot()."
        )


def leave_one_out_fan(
    fit: SyntheticControlFit,
    without: pd.DataFrame,
    start: float,
    *,
    ax: Axes | None = None,
    language: Language = "en",
) -> Axes:
    """Draw the gap over the gaps without each donor, as ``leave_one_out`` returns them."""
    path = _path_of(fit, None)
    wide = without.pivot(index="time", columns="left_out", values="gap")
    ax = gap_fan(path, wide, start, ax=ax, language=language)
    title = _WORDS[language]["without"].format(wide.shape[1])
    ax.set_title(title, fontsize=9, color=QUIET, loc="left")
    return ax


def gap_fan(
    path: pd.DataFrame,
    others: pd.DataFrame,
    start: float,
    *,
    ax: Axes | None,
    language: Language = "en",
) -> Axes:
    """Draw one gap over many: ``path`` with time and gap, ``others`` one column a line."""
    ax = _axes(ax, 4.0)
    ax.plot(others.index, others.to_numpy(), color=QUIET, lw=0.7, alpha=0.5)
    ax.plot(path["time"], path["gap"], color=ORANGE, lw=2.2, label=str(path["treated"].iloc[0]))
    ax.axhline(0.0, color=INK, lw=0.8)
    ax.set_ylabel(_WORDS[language]["gap"])
    ax.legend(frameon=False)
    _mark(ax, start)
    return ax


def _column_of(fit: SyntheticControlFit, treated: Hashable) -> Hashable:
    """Return the treated unit's label, refusing an unknown or an unstated one among several."""
    labels = list(fit.unit_weights.columns)
    if treated is None and len(labels) == 1:
        return labels[0]
    if treated not in labels:
        raise EstimationError(
            f"treated names one of the {len(labels)} treated units, {listing(labels, 6)}; it was "
            f"{treated!r}."
        )
    return treated


def _path_of(fit: SyntheticControlFit, treated: Hashable) -> pd.DataFrame:
    _need_paths(fit)
    column = _column_of(fit, treated)
    return fit.paths[fit.paths["treated"] == column].reset_index(drop=True)


def _axes(ax: Axes | None, height: float) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7.0, height), layout="constrained")[1]


def _written(number: str, language: Language) -> str:
    """Write a number's marks as a language does."""
    return number.translate(str.maketrans(",.", ".,")) if language == "vi" else number


def _mark(ax: Axes, start: float) -> None:
    """Mark the last period before treatment; periods are whole."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.axvline(start - 0.5, color=QUIET, lw=0.8, ls=(0, (4, 3)))
    _clear(ax)


def _clear(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.tick_params(colors=INK, labelsize=9)

"""Cases of one treated unit: Texas prisons, published, a simulated province, or a plan's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact.design import Design
from impact.errors import SpecError, check_choice, listing, near, plural
from impact.estimators.base import Estimator
from impact.estimators.parts.predictors import Predictor
from impact.estimators.synthetic_control import SyntheticControl
from impact.inference.placebo import PlaceboDraws
from impact.panel import Panel
from impact.places import provinces
from impact.result import Result
from impact.simulate import staggered_panel

if TYPE_CHECKING:
    from impact.places import Vintage

__all__ = [
    "PUBLISHED_WEIGHTS",
    "TRUE_EFFECT",
    "OneProvince",
    "compare_methods",
    "compare_with_known",
    "load_case",
    "planned_case",
]

CASES = ("texas", "simulated")
TRUE_EFFECT = 1.0
PUBLISHED_WEIGHTS = {"California": 0.408, "Illinois": 0.360, "Louisiana": 0.122, "Florida": 0.109}
"""Weights of the synthetic Texas in Cunningham (2021), chapter 10."""


@dataclass(frozen=True, eq=False)
class OneProvince:
    """A case with one treated unit.

    Parameters
    ----------
    name : "texas", "simulated" or "plan"
    design : the question
    start : first treated period
    pretended : a period before, for a placebo
    label : what the outcome is, in each language
    neighbours : units that border on the treated one
    unit : the outcome's unit in a report
    vintage : the list of provinces that the units are named in; None if they are no provinces
    """

    name: str
    design: Design
    start: int
    pretended: int
    label: Mapping[str, str]
    neighbours: tuple[str, ...] = ()
    unit: str | dict[str, str] = "number"
    vintage: Vintage | None = None


def load_case(name: str, seed: int) -> OneProvince:
    """Return the published case, or 63 provinces of 20 years with one treated from year 15 on.

    The provinces bear the names of those until June 2025; their numbers are simulated.

    Raises
    ------
    SpecError : there is no such case, or the package that carries its data is not installed

    Source
    ------
    Cunningham, S. (2021), Causal Inference: The Mixtape, chapter 10.
    """
    check_choice("case", name, CASES, SpecError)
    if name == "simulated":
        frame = staggered_panel(
            seed, n_units=63, periods=20, cohorts={15: 1 / 63}, effect=TRUE_EFFECT, noise=0.5,
            serial_correlation=0.4,
        ).frame  # fmt: skip
        names = provinces(63)["name_vi"].to_numpy()
        frame["province"] = names[pd.factorize(frame["unit"])[0]]
        panel = Panel(frame, unit="province", time="time")
        design = Design(panel, outcome="outcome", treated="treated")
        label = {"en": "simulated outcome", "vi": "kết quả mô phỏng"}
        return OneProvince(name, design, 15, 10, label, vintage=63)
    try:
        from causaldata import texas
    except ModuleNotFoundError:
        raise SpecError(
            'the case "texas" ships with causaldata, which is not installed. Install the extra: '
            "pip install 'impact-panel[data]'"
        ) from None
    frame = texas.load_pandas().data
    treated = (frame["state"] == "Texas") & (frame["year"] >= 1993)
    panel = Panel(frame.assign(treated=treated.astype(int)), unit="state", time="year")
    design = Design(panel, outcome="bmprison", treated="treated")
    return OneProvince(
        name,
        design,
        1993,
        1990,
        {"en": "black men in prison", "vi": "nam giới da đen ở tù"},
        ("Louisiana", "Oklahoma", "New Mexico", "Arkansas"),
        unit={"en": "prisoners", "vi": "tù nhân"},
    )


def planned_case(
    design: Design,
    *,
    label: Mapping[str, str],
    unit: str | dict[str, str],
    pretended: int = 0,
    neighbours: Sequence[str] = (),
) -> OneProvince:
    """Return the case of a design with one treated unit.

    Parameters
    ----------
    design : the question
    label, unit : of the outcome, as a report writes them
    pretended : a period before treatment, for a placebo; the middle one of those before if 0
    neighbours : units that border on the treated one

    Raises
    ------
    SpecError : not exactly one unit is treated, its treatment begins too early, or the period
        pretended or a neighbour is not there
    """
    treated = design.sample.units[~np.isnan(design.cohorts)]
    if len(treated) != 1:
        raise SpecError(
            f"this notebook is for one treated unit; the plan's design has {len(treated)} "
            f"({listing(treated)}). Use evaluation.ipynb for several, or name the rows to keep in "
            "data.where."
        )
    start = int(np.nanmin(design.cohorts))
    before = [int(period) for period in design.panel.periods if period < start]
    if len(before) < 3:
        raise SpecError(
            f"{treated[0]} is treated from {start} on, after {plural(len(before), 'period')}; a "
            "synthetic control needs three before treatment at the least, and ten to be believed."
        )
    if pretended and pretended not in before[1:]:
        raise SpecError(
            f"pretended must be a period before {start} with one before it: "
            f"{listing(before[1:], 12)}; it was {pretended}."
        )
    strange = [name for name in neighbours if name not in set(design.sample.units)]
    if strange:
        raise SpecError(
            f"neighbours names {listing(strange)}, which the data do not have. "
            f"{near(str(strange[0]), design.sample.units)}"
        )
    vintage = _vintage([str(name) for name in design.sample.units])
    middle = before[len(before) // 2]
    return OneProvince(
        "plan", design, start, pretended or middle, label, tuple(neighbours), unit, vintage
    )


def _vintage(names: list[str]) -> Vintage | None:
    """Return the list of provinces that has all these names; None if they are no provinces."""
    lists: tuple[Vintage, ...] = (34, 63)
    fits = [v for v in lists if set(names) <= set(provinces(v)["name_vi"])]
    return fits[0] if len(fits) == 1 else None


def compare_methods(case: OneProvince, methods: Mapping[str, Estimator]) -> pd.DataFrame:
    """Return the average effect by each method, the spread of its placebos and its rank."""
    views = {name: method.fit(case.design).att() for name, method in methods.items()}
    return pd.DataFrame(
        {
            name: {
                "effect": view.estimates[0],
                "placebo spread": view.std_errors[0],
                "rank p-value": _rank(view),
            }
            for name, view in views.items()
        }
    ).T


def compare_with_known(case: OneProvince, estimate: float) -> pd.DataFrame:
    """Set the case beside what is known: the published fit and gap, or the simulated truth.

    Empty for a plan's case, of which nothing is known.
    """
    if case.name == "plan":
        return pd.DataFrame()
    if case.name == "simulated":
        return pd.DataFrame(
            {"estimate": [estimate], "truth": [TRUE_EFFECT]}, index=["synthetic control"]
        )
    control = SyntheticControl(predictors=_predictors(), inference="none")
    ours = control.fit(case.design).extra["fit"].paths.set_index("time")["gap"]
    frame = case.design.panel.frame
    wide = frame.pivot(index="year", columns="state", values="bmprison")
    book = wide["Texas"] - sum(weight * wide[state] for state, weight in PUBLISHED_WEIGHTS.items())
    gaps = {"published weights": book, "this search": ours}
    return pd.DataFrame(
        {
            name: {
                "fit before (root mean square)": np.sqrt((gap[gap.index < case.start] ** 2).mean()),
                "gap in 2000": gap[2000],
            }
            for name, gap in gaps.items()
        }
    ).T


def _rank(view: Result) -> float:
    """Return the p-value by rank among placebos; NaN where the method draws none."""
    drawn = view.uncertainty
    return float(drawn.p_values(view.estimates)[0]) if isinstance(drawn, PlaceboDraws) else np.nan


def _predictors() -> tuple[Predictor, ...]:
    """Return the predictors that the book matches Texas on."""
    return (
        Predictor("poverty"),
        Predictor("income"),
        *(Predictor("bmprison", year, year) for year in (1988, 1990, 1991, 1992)),
        Predictor("alcohol", 1990, 1990),
        *(Predictor("aidscapita", year, year) for year in (1990, 1991)),
        *(Predictor("black", year, year) for year in (1990, 1991, 1992)),
        Predictor("perc1519", 1990, 1990),
    )

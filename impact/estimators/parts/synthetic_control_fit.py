"""What lies behind a synthetic control: weights, balance, paths, quality, placebos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import listing
from impact.estimators.parts.donors import Block, block_label, weight_frame
from impact.estimators.parts.matching import MatchingFit, MatchingProblem
from impact.estimators.parts.predictors import Predictor
from impact.inference.placebo import rank_p_value, rmspe_ratios
from impact.kernels.simplex import simplex_least_squares

__all__ = ["SyntheticControlFit", "describe", "fit_notes"]

Floats: TypeAlias = NDArray[np.float64]

# A pre-period gap below this share of the donors' spread counts as a perfect fit.
PERFECT = 1e-8


@dataclass(frozen=True, eq=False)
class SyntheticControlFit:
    """What lies behind a synthetic control, one column or row a treated unit (or cohort).

    Attributes
    ----------
    unit_weights : indexed by donor; NaN outside the unit's donor pool
    predictor_weights : indexed by predictor, the diagonal of V; empty without predictors
    balance : values of treated, synthetic and donors' mean, by predictor or pre-period
    paths : observed, synthetic and gap by treated unit and period
    quality : root mean squared gap before and after treatment and their ratio, distance to the
        donors' hull, donors used, certificate, uniqueness of the weights, rank p-value of the
        ratio where placebos were run
    placebos : gap by placebo unit and period; empty unless one unit is treated and placebos ran
    """

    unit_weights: pd.DataFrame
    predictor_weights: pd.DataFrame
    balance: pd.DataFrame
    paths: pd.DataFrame
    quality: pd.DataFrame
    placebos: pd.DataFrame


def describe(
    predictors: tuple[Predictor, ...],
    design: Design,
    problems: list[MatchingProblem],
    fits: list[MatchingFit],
    placebos: list[Floats],
) -> SyntheticControlFit:
    """Tabulate the fits of all problems; ``placebos`` holds paths (B, T) by problem, or nothing."""
    blocks = [problem.block for problem in problems]
    labels = pd.Index([block_label(design, block) for block in blocks], name="treated")
    names = pd.Index([predictor.label for predictor in predictors], name="predictor")
    cases = list(zip(problems, fits, strict=True))
    alone = len(blocks) == 1 and len(blocks[0].treated) == 1 and bool(placebos)
    return SyntheticControlFit(
        unit_weights=weight_frame(design, blocks, [fit.omega for fit in fits], labels),
        predictor_weights=pd.DataFrame(
            np.array([fit.importance for fit in fits]).T, index=names, columns=labels
        ),
        balance=pd.concat([_balance(design, names, *case) for case in cases], keys=labels),
        paths=pd.concat(
            [_path_frame(design, label, *case) for label, case in zip(labels, cases, strict=True)],
            ignore_index=True,
        ),
        quality=_quality(problems, fits, placebos).set_axis(labels),
        placebos=_placebo_frame(design, blocks[0], placebos[0]) if alone else pd.DataFrame(),
    )


def _balance(
    design: Design, names: pd.Index, problem: MatchingProblem, fit: MatchingFit
) -> pd.DataFrame:
    """Set treated, synthetic and mean donor side by side, by predictor or pre-period."""
    pre = problem.block.pre
    if len(names):
        treated, donors = problem.predictors[-1][:, 0], problem.predictors[-1][:, 1:]
    else:
        treated, donors = problem.treated[pre], problem.donors[:, pre].T
        names = pd.Index(design.periods[pre], name=design.panel.time)
    return pd.DataFrame(
        {"treated": treated, "synthetic": donors @ fit.omega, "donors": donors.mean(axis=1)},
        index=names,
    )


def _path_frame(
    design: Design, label: object, problem: MatchingProblem, fit: MatchingFit
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "treated": [label] * len(design.periods),
            "time": design.periods,
            "observed": problem.treated,
            "synthetic": problem.treated - fit.path,
            "gap": fit.path,
        }
    )


def _quality(
    problems: list[MatchingProblem], fits: list[MatchingFit], placebos: list[Floats]
) -> pd.DataFrame:
    rows = []
    for k, (problem, fit) in enumerate(zip(problems, fits, strict=True)):
        pre, post = problem.block.pre, problem.block.post
        ratio = float(rmspe_ratios(fit.path[None], pre, post)[0])
        p_value = np.nan
        if placebos:
            p_value = rank_p_value(ratio, rmspe_ratios(placebos[k], pre, post))
        before = problem.donors[:, pre]
        hull = simplex_least_squares(before.T, problem.treated[pre])
        rows.append(
            {
                "rmspe_before": float(np.sqrt(np.mean(fit.path[pre] ** 2))),
                "rmspe_after": float(np.sqrt(np.mean(fit.path[post] ** 2))),
                "ratio": ratio,
                "ratio_p_value": p_value,
                "hull_distance": float(np.sqrt(hull.loss / pre.sum())),
                "donors_spread": float(before.std(axis=0).mean()),
                "donors": len(problem.donors),
                "donors_used": int(np.sum(fit.omega > 0.0)),
                "residual": fit.residual,
                "unique": fit.unique,
            }
        )
    return pd.DataFrame(rows)


def _placebo_frame(design: Design, block: Block, paths: Floats) -> pd.DataFrame:
    """Lay gaps of every donor taken as treated out in long form."""
    units = design.sample.units[block.donors]
    return pd.DataFrame(
        {
            design.panel.unit: np.repeat(units, len(design.periods)),
            "time": np.tile(design.periods, len(units)),
            "gap": paths.ravel(),
        }
    )


def fit_notes(fit: SyntheticControlFit) -> tuple[str, ...]:
    """Say what a reader of the effects must know: donors used, hull, uniqueness, ranks."""
    quality = fit.quality
    used = listing(quality["donors_used"], 12)
    notes = [
        f"Donors with weight: {used} of {listing(quality['donors'], 12)}; optimal to "
        f"{quality['residual'].max():.0e} (Karush-Kuhn-Tucker residual)."
    ]
    outside = quality[quality["hull_distance"] > PERFECT * quality["donors_spread"]]
    for label, row in list(outside.iterrows())[:3]:
        spread = row["donors_spread"]
        share = (
            f"{row['hull_distance'] / spread:.0%} of the spread between donors" if spread else ""
        )
        notes.append(
            f"{label} lies outside the donors' hull before treatment: no weights come closer to "
            f"its path than {row['hull_distance']:.4g} (root mean square), "
            f"{share or 'and the donors have one path'}; these weights leave "
            f"{row['rmspe_before']:.4g}."
        )
    if not quality["unique"].all():
        notes.append(
            f"Other weights fit {listing(quality.index[~quality['unique']])} as well, and may give "
            "other effects; a small proximity picks the nearest donors."
        )
    ranked = quality["ratio_p_value"].dropna()
    if len(ranked):
        notes.append(
            "Ratio of root mean squared gaps after and before treatment, rank among placebos: p = "
            f"{listing((f'{p:.3f}' for p in ranked), 12)}."
        )
    return tuple(notes)

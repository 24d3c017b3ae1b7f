"""Synthetic difference-in-differences, with one adoption date or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import InferenceError, listing, plural
from impact.estimators.base import UNIT_CLUSTERS, Estimator, Requirement
from impact.estimators.parts.donor_pool import DonorPool
from impact.estimators.parts.donors import (
    SYNTHETIC,
    Block,
    cell_frame,
    cohort_shares,
    donor_assignments,
    donor_blocks,
    needs_of_placebos,
    units_are_clusters,
    weight_frame,
    with_rank_note,
)
from impact.estimators.parts.misfit import TRENDS, Refit, level_doubt, pretend_earlier
from impact.inference.placebo import (
    PlaceboDraws,
    canonical_order,
    no_uncertainty,
)
from impact.inference.scores import Replicates, Uncertainty
from impact.kernels.absorb import absorb
from impact.kernels.bilinear import (
    BilinearChoice,
    BilinearFit,
    bilinear_fit,
    leave_one_out_paths,
    noise_level,
    placebo_paths,
)
from impact.result import Result

__all__ = ["SyntheticDiD", "SyntheticDiDFit"]

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]
Blocks: TypeAlias = Sequence[Block]
Solver: TypeAlias = Literal["exact", "frank_wolfe"]

# The time weights' ridge, in units of the noise: it only makes them unique.
TIME_RIDGE = 1e-6
# Where synthdid's iteration stops, in units of the noise.
EARLY_STOP = 1e-5


@dataclass(frozen=True, eq=False)
class SyntheticDiDFit:
    """Weights behind a synthetic difference-in-differences, one column a cohort.

    Attributes
    ----------
    unit_weights : indexed by donor; NaN for units outside a cohort's donor pool
    time_weights : indexed by period; NaN from treatment on
    residuals : largest Karush-Kuhn-Tucker residual of each cohort's weights
    noise_levels : standard deviation of donors' first differences before treatment, a cohort
    """

    unit_weights: pd.DataFrame
    time_weights: pd.DataFrame
    residuals: pd.Series
    noise_levels: pd.Series


@dataclass(frozen=True)
class SyntheticDiD(Estimator):
    """Compare treated units with weighted donors over weighted periods.

    tau = (mean treated - omega' donors) after treatment - the same gap before it, averaged with
    lambda; omega makes donors' paths parallel to the treated path before treatment, lambda makes
    pre-periods predict the donors' mean after treatment. With omega and lambda uniform this is
    difference-in-differences; with lambda = 0, no intercept and no ridge, synthetic control.

    Parameters
    ----------
    pool : which units never treated may be donors
    inference : "placebo" re-estimates with donors in the treated units' place; "jackknife"
        leaves out one cluster at a time with weights held fixed; "bootstrap" redraws clusters
        and re-estimates; "auto" is "placebo" where donors outnumber treated units
        and units are the clusters, else "jackknife"; "none"
    draws : placebo assignments or bootstrap samples
    seed : of the draws
    solver : "exact" certifies the optimum; "frank_wolfe" stops where R synthdid stops, to repeat
        its digits

    Raises
    ------
    DesignError : gaps, sampling weights, nobody never treated, fewer than two pre-periods,
        placebos with clusters of several units
    InferenceError : placebo with no more donors than treated units, jackknife or bootstrap
        with a cohort treated in one cluster only

    Notes
    -----
    Each cohort is compared with units never treated. Cells before treatment are gaps against
    the weighted pre-period mean, so their lambda-weighted average is zero. ``att("cell")``
    weighs cohorts by units times treated periods (Clarke et al.'s overall effect); with one
    cohort all averages agree.

    Covariates enter by projection: the outcome less covariates times their coefficients in a
    two-way fixed-effects regression on untreated observations.

    Placebo inference assumes that treated and untreated units vary alike. A level of its own does
    no harm; where an effect is found although treatment is pretended to begin earlier, as of a
    trend that donors lack, there is no standard error, interval or rank, and the table says why.
    The jackknife is
    conservative; it and the bootstrap need several treated clusters. The ridge on omega is
    (n_treated * n_after)^(1/2) sigma^2 with sigma the noise level; placebos keep the ridge.

    Source
    ------
    Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), American Economic Review 111(12),
    eqs. (1)-(6), algorithms 1-4; Clarke, Pailanir, Athey and Imbens (2024), Stata Journal 24(4),
    for staggered adoption and covariates by projection (Kranz 2022).

    Example
    -------
    >>> result = SyntheticDiD().fit(design)                           # doctest: +SKIP
    >>> result.extra["fit"].unit_weights                              # doctest: +SKIP
    """

    pool: DonorPool = field(default_factory=DonorPool)
    inference: Literal["auto", "placebo", "jackknife", "bootstrap", "none"] = "auto"
    draws: int = 200
    seed: int = 0
    solver: Solver = "exact"

    requires: ClassVar[tuple[Requirement, ...]] = (*SYNTHETIC, UNIT_CLUSTERS)
    estimand: ClassVar[str] = "average effects on the treated by cohort and period"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What these settings need of a design."""
        return (*self.requires, *needs_of_placebos(self.inference))

    def _refuse_design(self, design: Design) -> None:
        donor_blocks(design, self.pool)

    def _estimate(self, design: Design) -> Result:
        outcomes = _adjusted(design.outcomes, design.covariate_array(), _untreated(design))
        blocks = donor_blocks(design, self.pool)
        fits = [_fit_block(outcomes, block, self.solver) for block in blocks]
        paths = np.stack([fit.weights.path for fit in fits])
        result = Result(
            estimator=self.name,
            design=design,
            cells=cell_frame(design, paths, [len(b.donors) for b in blocks]),
            uncertainty=self._uncertainty(design, outcomes, blocks, fits),
            estimand=self.estimand,
            shares=cohort_shares(design),
            settings=self.settings(),
            notes=_notes(blocks, fits),
            extra={"fit": _describe(design, blocks, fits)},
        )
        return with_rank_note(result)

    def _uncertainty(
        self, design: Design, outcomes: Floats, blocks: Blocks, fits: list[_BlockFit]
    ) -> Uncertainty:
        inference = self.inference
        if inference == "auto":
            n_treated = sum(len(block.treated) for block in blocks)
            enough = all(len(block.donors) > n_treated for block in blocks)
            inference = "placebo" if enough and units_are_clusters(design) else "jackknife"
        if inference == "none":
            return no_uncertainty(len(blocks) * (outcomes.shape[1] + 1), design.n_clusters)
        if inference == "placebo":
            paths = _placebos(design, outcomes, blocks, fits, self)
            draws = np.concatenate((paths, np.zeros((len(paths), len(blocks)))), axis=1)
            shape = (len(paths), len(blocks), outcomes.shape[1])
            own = np.stack([fit.weights.path for fit in fits])
            doubt = level_doubt(design, blocks, own, paths.reshape(shape), TRENDS)
            doubt = doubt or pretend_earlier(
                design, blocks, paths.reshape(shape), self._refit(design, outcomes)
            )
            return PlaceboDraws(draws, design.n_clusters, doubt=doubt)
        _refuse_few_clusters(design, blocks, inference)
        if inference == "jackknife":
            draws = _jackknife(design, outcomes, blocks, fits)
            scale = (len(draws) - 1) / len(draws)
            return Replicates(draws, design.n_clusters, "jackknife, weights held fixed", scale)
        draws = _bootstrap(design, self)
        method = f"bootstrap of clusters, {plural(len(draws), 'draw')}"
        return Replicates(draws, design.n_clusters, method, 1.0 / len(draws))

    def _refit(self, design: Design, outcomes: Floats) -> Refit:
        """Return how other blocks are fitted."""

        def fits(blocks: Sequence[Block]) -> list[_BlockFit]:
            return [_fit_block(outcomes, block, self.solver) for block in blocks]

        def placebos(blocks: Sequence[Block]) -> Floats:
            paths = _placebos(design, outcomes, blocks, fits(blocks), self)
            return paths.reshape(len(paths), len(blocks), -1)

        return Refit(lambda blocks: np.stack([f.weights.path for f in fits(blocks)]), placebos)


@dataclass(frozen=True, eq=False)
class _BlockFit:
    """A cohort's weights and effect path, with how the weights were chosen."""

    weights: BilinearFit
    choice: BilinearChoice
    noise: float


def _fit_block(outcomes: Floats, block: Block, solver: Solver = "exact") -> _BlockFit:
    donors, treated = outcomes[block.donors], outcomes[block.treated].mean(axis=0)
    noise = noise_level(donors[:, block.pre])
    strength = noise**2 * np.sqrt(len(block.treated) * block.post.sum())
    choice = BilinearChoice(
        times="fitted",
        unit_ridge=float(strength * block.pre.sum()),
        time_ridge=(TIME_RIDGE * noise) ** 2 * len(donors),
        intercept=True,
        early_stop=EARLY_STOP * noise if solver == "frank_wolfe" else 0.0,
    )
    return _BlockFit(bilinear_fit(treated, donors, block.pre, block.post, choice), choice, noise)


def _adjusted(outcomes: Floats, covariates: Floats, untreated: Booleans) -> Floats:
    """Take covariates, (N, T, k), out of the outcome with coefficients from untreated cells."""
    if not covariates.shape[2]:
        return outcomes
    units, times = np.nonzero(untreated)
    rows = np.vstack([outcomes[untreated], covariates[untreated].T])
    swept = absorb([units, times]).sweep(rows)
    slopes = np.linalg.lstsq(swept[1:].T, swept[0])[0]
    return np.asarray(outcomes - covariates @ slopes)


def _untreated(design: Design) -> Booleans:
    begins = np.where(np.isnan(design.cohorts), np.inf, design.cohorts - design.anticipation)
    return np.asarray(design.periods < begins[:, None])


def _placebos(
    design: Design,
    outcomes: Floats,
    blocks: Blocks,
    fits: list[_BlockFit],
    settings: SyntheticDiD,
) -> Floats:
    """Return placebo effect paths of all cohorts at once, shape (B, C * T)."""
    assignments = donor_assignments(design, blocks, settings.draws, settings.seed)
    paths = [
        placebo_paths(
            outcomes[block.donors],
            block.pre,
            block.post,
            assignment.groups,
            assignment.barred,
            fit.choice,
            fit.weights.lambda_,
        )
        for block, fit, assignment in zip(blocks, fits, assignments, strict=True)
    ]
    return np.concatenate(paths, axis=1)


def _refuse_few_clusters(design: Design, blocks: Blocks, inference: str) -> None:
    n_treated = sum(len(block.treated) for block in blocks)
    remedy = 'Use inference="placebo", with units as clusters.'
    if any(len(block.donors) <= n_treated for block in blocks):
        remedy = (
            f"Placebos need more donors than the {plural(n_treated, 'treated unit')}: widen the "
            'donor pool, or ask for inference="none".'
        )
    for cohort in design.cohort_values:
        clusters = np.unique(design.cluster_codes[design.cohorts == cohort])
        if len(clusters) < 2:
            raise InferenceError(
                f'inference="{inference}" needs two treated clusters in each cohort; the cohort of '
                f"{cohort:g} is treated in one, so nothing shows how treated clusters vary. "
                f"{remedy}"
            )


def _jackknife(design: Design, outcomes: Floats, blocks: Blocks, fits: list[_BlockFit]) -> Floats:
    """Return the estimates and shares without each cluster in turn, shape (G, C * T + C)."""
    codes, n_clusters = design.cluster_codes, int(design.cluster_codes.max()) + 1
    paths, shares = [], []
    left = design.n_units - np.bincount(codes, minlength=n_clusters)
    for block, fit in zip(blocks, fits, strict=True):
        treated, donors = codes[block.treated], codes[block.donors]
        path = leave_one_out_paths(
            outcomes[block.treated],
            outcomes[block.donors],
            fit.weights.omega,
            fit.weights.lambda_,
            block.pre,
            treated,
            donors,
            n_clusters,
        )
        if np.isnan(path).any():
            raise InferenceError(
                f"all donor weight of the cohort of {block.cohort:g} lies in one cluster, and the "
                'jackknife cannot leave it out. Use inference="placebo", with units as clusters.'
            )
        paths.append(path)
        shares.append((len(treated) - np.bincount(treated, minlength=n_clusters)) / left)
    return np.concatenate([*paths, np.stack(shares, axis=1)], axis=1)


def _bootstrap(design: Design, settings: SyntheticDiD) -> Floats:
    """Redraw clusters with replacement and estimate anew, shape (draws, C * T + C)."""
    rng = np.random.default_rng(settings.seed)
    codes, untreated = design.cluster_codes, _untreated(design)
    order = canonical_order(design.outcomes)
    members = [order[codes[order] == g] for g in pd.unique(codes[order])]
    covariates = design.covariate_array()
    blocks = donor_blocks(design, settings.pool)
    rows: list[Floats] = []
    while len(rows) < settings.draws:
        chosen = rng.integers(0, len(members), len(members))
        units = np.concatenate([members[g] for g in chosen])
        outcomes = _adjusted(design.outcomes[units], covariates[units], untreated[units])
        drawn = [_redrawn(block, units) for block in blocks]
        if any(len(block.treated) == 0 or len(block.donors) < 2 for block in drawn):
            continue
        paths = [_fit_block(outcomes, block, settings.solver).weights.path for block in drawn]
        shares = [len(block.treated) / len(units) for block in drawn]
        rows.append(np.concatenate([*paths, shares]))
    return np.stack(rows)


def _redrawn(block: Block, units: Indices) -> Block:
    """Return the block's positions in a sample of units drawn with replacement."""
    return replace(
        block,
        treated=np.flatnonzero(np.isin(units, block.treated)),
        donors=np.flatnonzero(np.isin(units, block.donors)),
    )


def _describe(design: Design, blocks: Blocks, fits: list[_BlockFit]) -> SyntheticDiDFit:
    periods = design.periods
    cohorts = pd.Index(design.cohort_values, name="cohort")
    omega = [fit.weights.omega for fit in fits]
    lambda_ = [
        pd.Series(f.weights.lambda_, periods[b.pre]) for b, f in zip(blocks, fits, strict=True)
    ]
    return SyntheticDiDFit(
        unit_weights=weight_frame(design, blocks, omega, cohorts),
        time_weights=pd.concat(lambda_, axis=1, keys=cohorts)
        .reindex(periods)
        .rename_axis(design.panel.time),
        residuals=pd.Series([fit.weights.residual for fit in fits], cohorts),
        noise_levels=pd.Series([fit.noise for fit in fits], cohorts),
    )


def _notes(blocks: Blocks, fits: list[_BlockFit]) -> tuple[str, ...]:
    used = listing((int(np.sum(fit.weights.omega > 0)) for fit in fits), 12)
    available = listing((len(block.donors) for block in blocks), 12)
    residual = max(fit.weights.residual for fit in fits)
    return (
        f"Donors with weight: {used} of {available}; optimal to {residual:.0e} "
        "(Karush-Kuhn-Tucker residual).",
    )

"""Augmented synthetic control of Ben-Michael, Feller and Rothstein (2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, listing, plural
from impact.estimators.base import NO_COVARIATES, Estimator, Requirement
from impact.estimators.parts.donor_pool import DonorPool
from impact.estimators.parts.donors import (
    SYNTHETIC,
    Block,
    block_label,
    cell_frame,
    cohort_paths,
    cohort_shares,
    donor_assignments,
    donor_blocks,
    donor_counts,
    needs_of_placebos,
    refuse_resampling,
    weight_frame,
    with_rank_note,
)
from impact.estimators.parts.misfit import Refit, placebo_uncertainty
from impact.inference.placebo import Assignment
from impact.kernels.ridge_augmentation import augmented_weights, choose_ridge
from impact.kernels.simplex import simplex_least_squares
from impact.result import Result

__all__ = ["AugmentedSyntheticControl", "AugmentedSyntheticControlFit"]

Floats: TypeAlias = NDArray[np.float64]
Blocks: TypeAlias = Sequence[Block]


@dataclass(frozen=True, eq=False)
class AugmentedSyntheticControlFit:
    """What lies behind an augmented synthetic control, one column or row a treated unit.

    Attributes
    ----------
    unit_weights : indexed by donor; they sum to one and may be negative
    base_weights : the synthetic control's, before augmentation
    quality : ridge, imbalance before treatment (root of the sum of squares) with and without
        augmentation and relative to equal weights, certificate of the base weights, sum of
        negative weights
    """

    unit_weights: pd.DataFrame
    base_weights: pd.DataFrame
    quality: pd.DataFrame


@dataclass(frozen=True)
class AugmentedSyntheticControl(Estimator):
    """Correct a synthetic control by a ridge regression for the imbalance it leaves.

    effect_t = Y_1t - sum_j w_j Y_jt with w = w_sc + X (X'X + ridge I)^{-1} (x_1 - X' w_sc), X the
    donors' centred outcomes before treatment.

    Parameters
    ----------
    ridge : penalty in squared outcome units, None to choose it by leaving out pre-periods one at
        a time (the largest within one standard error of the best)
    demean : take each unit's pre-period mean out first
    pooled : match the mean of each cohort instead of each treated unit by itself
    pool : which units never treated may be donors
    inference : "placebo" re-estimates with donors in the treated units' place; "none"
    draws, seed : placebo assignments where several units are treated

    Raises
    ------
    DesignError : gaps, weights, covariates, clusters of several units with placebos, nobody
        never treated, fewer than three pre-periods, donors all on one path
    InferenceError : no more donors than treated units

    Notes
    -----
    Weights may be negative: the estimate extrapolates from the donors' hull where the ridge
    allows it, the less the larger the ridge; ``quality`` says by how much. Where synthetic
    control fits exactly nothing is added. Placebos keep the ridge of the estimate.
    A path missed before treatment gets no inference, as in ``SyntheticControl``.

    Source
    ------
    Ben-Michael, Feller and Rothstein (2021), Journal of the American Statistical Association
    116(536), sections 3-5; R augsynth 0.2.0 for conventions.

    Example
    -------
    >>> AugmentedSyntheticControl().fit(design).att()                 # doctest: +SKIP
    """

    ridge: float | None = None
    demean: bool = False
    pooled: bool = False
    pool: DonorPool = field(default_factory=DonorPool)
    inference: Literal["placebo", "none"] = "placebo"
    draws: int = 200
    seed: int = 0

    requires: ClassVar[tuple[Requirement, ...]] = (*SYNTHETIC, NO_COVARIATES)
    estimand: ClassVar[str] = "effects on the treated by cohort and period"

    def __post_init__(self) -> None:
        refuse_resampling(self.inference)
        super().__post_init__()
        if self.ridge is not None and not self.ridge > 0.0:
            raise DesignError(
                f"ridge is a positive penalty, or None to choose one; it was {self.ridge!r}. "
                "SyntheticControl is the limit of a large ridge."
            )

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What these settings need of a design."""
        return (*self.requires, *needs_of_placebos(self.inference))

    def _refuse_design(self, design: Design) -> None:
        donor_blocks(design, self.pool, separate=not self.pooled)

    def _estimate(self, design: Design) -> Result:
        blocks = donor_blocks(design, self.pool, separate=not self.pooled)
        fits = [self._fit_block(design.outcomes, block) for block in blocks]
        paths = _joined(design, blocks, fits)
        placebos = self._placebos(design, blocks, fits)
        description = _describe(design, blocks, fits)
        result = Result(
            estimator=self.name,
            design=design,
            cells=cell_frame(design, paths, donor_counts(design, blocks)),
            uncertainty=placebo_uncertainty(
                design, blocks, paths, placebos, self._refit(design), demeaned=self.demean
            ),
            estimand=self.estimand,
            shares=cohort_shares(design),
            settings=self.settings(),
            notes=_notes(description.quality),
            extra={"fit": description},
        )
        return with_rank_note(result)

    def _fit_block(self, outcomes: Floats, block: Block) -> _BlockFit:
        treated, donors = outcomes[block.treated].mean(axis=0), outcomes[block.donors]
        before, goal = self._centred(donors[:, block.pre]), self._centred(treated[block.pre])
        if np.ptp(before, axis=0).max() == 0.0:
            raise DesignError(
                f"{plural(len(donors), 'donor')} with one path before {block.cohort:g} for the "
                f"treated of that cohort: a regression on donors' paths needs paths that differ. "
                "Widen the donor pool, or use SyntheticControl."
            )
        ridge = self.ridge
        if ridge is None:
            if block.pre.sum() < 3:
                raise DesignError(
                    f"{block.pre.sum()} periods before {block.cohort:g} cannot choose a ridge by "
                    "leaving one out: three are needed. Give ridge=, or add earlier periods."
                )
            ridge = choose_ridge(before, goal).ridge
        return _fit(treated, donors, before, goal, block, ridge, self.demean)

    def _centred(self, before: Floats) -> Floats:
        return before - before.mean(axis=-1, keepdims=True) if self.demean else before

    def _refit(self, design: Design) -> Refit:
        """Return how other blocks are fitted."""

        def fits(blocks: Blocks) -> list[_BlockFit]:
            return [self._fit_block(design.outcomes, block) for block in blocks]

        return Refit(
            lambda blocks: _joined(design, blocks, fits(blocks)),
            lambda blocks: cohort_paths(
                design, blocks, np.stack(self._placebos(design, blocks, fits(blocks)), axis=1)
            ),
        )

    def _placebos(self, design: Design, blocks: Blocks, fits: list[_BlockFit]) -> list[Floats]:
        """Return placebo paths of each block, shape (B, T), if asked for."""
        if self.inference == "none":
            return []
        assignments = donor_assignments(design, blocks, self.draws, self.seed)
        return [
            self._placebo_block(design.outcomes[block.donors], block, fit.ridge, assignment)
            for block, fit, assignment in zip(blocks, fits, assignments, strict=True)
        ]

    def _placebo_block(
        self, donors: Floats, block: Block, ridge: float, assignment: Assignment
    ) -> Floats:
        """Return the paths of donors taken as treated, shape (B, T)."""
        before = self._centred(donors[:, block.pre])
        paths = []
        for group, out in zip(assignment.groups, assignment.barred, strict=True):
            treated, goal = donors[group].mean(axis=0), before[group].mean(axis=0)
            fit = _fit(treated, donors[~out], before[~out], goal, block, ridge, self.demean)
            paths.append(fit.path)
        return np.stack(paths)


@dataclass(frozen=True, eq=False)
class _BlockFit:
    """Weights (n,), effect path (T,), ridge and imbalances of one treated unit or cohort."""

    omega: Floats
    base: Floats
    path: Floats
    ridge: float
    imbalance: float
    base_imbalance: float
    equal_imbalance: float
    residual: float


def _fit(
    treated: Floats,
    donors: Floats,
    before: Floats,
    goal: Floats,
    block: Block,
    ridge: float,
    demean: bool,
) -> _BlockFit:
    """Weigh donors, (n, T), by their pre-period outcomes, (n, T0), to follow the treated path."""
    base = simplex_least_squares(before.T, goal)
    omega = augmented_weights(before, goal, base.weights, ridge)
    path = treated - omega @ donors
    if demean:
        path = path - path[block.pre].mean()
    return _BlockFit(
        omega,
        base.weights,
        path,
        ridge,
        imbalance=float(np.linalg.norm(goal - omega @ before)),
        base_imbalance=float(np.sqrt(base.loss)),
        equal_imbalance=float(np.linalg.norm(goal - before.mean(axis=0))),
        residual=base.residual,
    )


def _joined(design: Design, blocks: Blocks, fits: Sequence[_BlockFit]) -> Floats:
    """Average the blocks' paths into cohorts, shape (C, T)."""
    paths = np.stack([fit.path for fit in fits])
    return np.asarray(cohort_paths(design, blocks, paths[None])[0])


def _describe(
    design: Design, blocks: Blocks, fits: list[_BlockFit]
) -> AugmentedSyntheticControlFit:
    labels = pd.Index([block_label(design, block) for block in blocks], name="treated")
    quality = pd.DataFrame(
        {
            "ridge": [fit.ridge for fit in fits],
            "imbalance": [fit.imbalance for fit in fits],
            "base_imbalance": [fit.base_imbalance for fit in fits],
            "relative_imbalance": [fit.imbalance / fit.equal_imbalance for fit in fits],
            "residual": [fit.residual for fit in fits],
            "negative_weight": [float(np.minimum(fit.omega, 0.0).sum()) for fit in fits],
        },
        index=labels,
    )
    return AugmentedSyntheticControlFit(
        unit_weights=weight_frame(design, blocks, [fit.omega for fit in fits], labels),
        base_weights=weight_frame(design, blocks, [fit.base for fit in fits], labels),
        quality=quality,
    )


def _notes(quality: pd.DataFrame) -> tuple[str, ...]:
    return (
        f"Ridge {listing((f'{r:.4g}' for r in quality['ridge']), 6)}; imbalance before treatment "
        f"{listing((f'{i:.4g}' for i in quality['imbalance']), 6)} against "
        f"{listing((f'{i:.4g}' for i in quality['base_imbalance']), 6)} of synthetic control.",
        f"Negative weights sum to {listing((f'{w:.3f}' for w in quality['negative_weight']), 6)}: "
        "so far the estimate extrapolates beyond the donors.",
    )

"""Synthetic control of Abadie, Diamond and Hainmueller, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, InferenceError, plural
from impact.estimators.base import NO_COVARIATES, Estimator, Requirement
from impact.estimators.parts.donors import (
    SYNTHETIC,
    Block,
    DonorPool,
    block_label,
    cell_frame,
    cohort_paths,
    cohort_shares,
    donor_assignments,
    donor_blocks,
    donor_counts,
    needs_of_placebos,
    with_rank_note,
)
from impact.estimators.parts.predictors import (
    Predictor,
    PredictorWeights,
    predictor_matrix,
    predictor_windows,
)
from impact.estimators.parts.synthetic_control_fit import (
    MatchingFit,
    MatchingProblem,
    describe,
    fit_notes,
)
from impact.inference.placebo import (
    Assignment,
    CrossFit,
    PlaceboDraws,
    conformal_interval,
    conformal_p_value,
    cross_fit_t,
    no_uncertainty,
)
from impact.inference.scores import Uncertainty
from impact.kernels.bilinear import (
    BilinearChoice,
    bilinear_fit,
    effect_paths,
    gap_paths,
    noise_level,
    placebo_paths,
)
from impact.kernels.predictor_weights import nested_fit, weighted_fit
from impact.result import Result

__all__ = ["Predictor", "SyntheticControl"]

Floats: TypeAlias = NDArray[np.float64]
Blocks: TypeAlias = tuple[Block, ...]

# Ridge and stop of synthdid's sc_estimate, in units of the noise.
STOPPED_RIDGE, EARLY_STOP = 1e-6, 1e-5


@dataclass(frozen=True)
class SyntheticControl(Estimator):
    """Compare each treated unit with a convex combination of donors that tracks it.

    effect_t = Y_1t - sum_j w_j Y_jt, with w >= 0 and sum w = 1 chosen to match the treated
    unit's path, or its predictors, before treatment.

    Parameters
    ----------
    predictors : what donors match; every pre-period outcome if empty
    predictor_weights : "nested" chooses V so that the outcome's pre-period path is predicted
        best; "cross_validation" measures predictors in the first half of the pre-period, judges
        V by the second half, and measures them again in the second; "equal" weighs
        standardised predictors equally
    demean : match paths about their pre-period mean, and measure effects against it
    proximity : cost of a donor's weight, times its squared distance to the treated unit: 0 is
        synthetic control, large values approach the nearest neighbour; makes weights unique
    pooled : match the mean of each cohort instead of each treated unit by itself
    pool : which units never treated may be donors
    inference : "placebo" re-estimates with donors in the treated units' place, every donor in
        turn where one unit is treated; "none"
    draws, seed : placebo assignments where several units are treated
    solver : "exact" certifies the optimum; "frank_wolfe" stops where R synthdid's sc_estimate
        stops, to repeat its digits

    Raises
    ------
    DesignError : gaps, weights, covariates, clusters of several units with placebos, nobody
        never treated, fewer than two pre-periods, a predictor that is missing, constant or
        measured after treatment began
    InferenceError : no more donors than treated units

    Notes
    -----
    Without predictors the weights are the exact optimum, with its certificate in ``quality``;
    with them the inner problem is exact and the outer one a search (see ``nested_fit``).
    Matching is in levels, so constants added to units change the result unless ``demean``.
    With a covariate as predictor, V weighs standardised predictors (over treated and donors).

    Standard errors are the spread of placebo estimates, valid if units vary alike; ranks need
    exchangeability only. The ratio of gaps after and before treatment, ranked among placebos, is
    in ``quality``. With J donors no p-value below 1/(J + 1) is possible. A bootstrap would treat
    one treated unit as a sample; it is not offered.

    Source
    ------
    Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association
    105(490), sections 2.3 and 3.4; (2015), American Journal of Political Science 59(2), for
    cross-validation; Abadie and L'Hour (2021), JASA 116(536), eq. (5), for proximity; Ferman and
    Pinto (2021), Quantitative Economics 12(4), for demeaning.

    Example
    -------
    >>> result = SyntheticControl().fit(design)                       # doctest: +SKIP
    >>> result.extra["fit"].unit_weights                              # doctest: +SKIP
    """

    predictors: tuple[Predictor, ...] = ()
    predictor_weights: PredictorWeights = "nested"
    demean: bool = False
    proximity: float = 0.0
    pooled: bool = False
    pool: DonorPool = field(default_factory=DonorPool)
    inference: Literal["placebo", "none"] = "placebo"
    draws: int = 200
    seed: int = 0
    solver: Literal["exact", "frank_wolfe"] = "exact"

    requires: ClassVar[tuple[Requirement, ...]] = (*SYNTHETIC, NO_COVARIATES)
    estimand: ClassVar[str] = "effects on the treated by cohort and period"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.proximity < 0.0:
            raise DesignError(f"proximity is a cost, 0 or more; it was {self.proximity!r}.")
        if self.proximity and self.predictors:
            raise DesignError(
                "proximity prices distances between outcome paths and does not go with "
                "predictors. Leave one of the two out."
            )
        if self.solver == "frank_wolfe" and (self.proximity or self.predictors):
            raise DesignError(
                'solver="frank_wolfe" repeats R synthdid, which knows neither proximity nor '
                'predictors. Use solver="exact".'
            )
        if self.predictor_weights == "cross_validation" and any(
            p.first is not None or p.last is not None for p in self.predictors
        ):
            raise DesignError(
                'predictor_weights="cross_validation" measures each predictor in two halves of '
                "the pre-period, so predictors must come without first and last."
            )

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What these settings need of a design."""
        return (*self.requires, *needs_of_placebos(self.inference))

    def _estimate(self, design: Design) -> Result:
        blocks = donor_blocks(design, self.pool, separate=not self.pooled)
        problems = [self._problem(design, block) for block in blocks]
        fits = [_solve(problem, self) for problem in problems]
        paths = cohort_paths(design, blocks, np.stack([fit.path for fit in fits])[None])[0]
        uncertainty, placebos = self._placebos(design, blocks, problems)
        description = describe(self.predictors, design, problems, fits, placebos)
        result = Result(
            estimator=self.name,
            design=design,
            cells=cell_frame(design, paths, donor_counts(design, blocks)),
            uncertainty=uncertainty,
            estimand=self.estimand,
            shares=cohort_shares(design),
            settings=self.settings(),
            notes=fit_notes(description),
            extra={"fit": description},
        )
        return with_rank_note(result)

    def leave_one_out(self, design: Design) -> pd.DataFrame:
        """Estimate again without each donor that has weight.

        Returns
        -------
        DataFrame with the treated unit, the donor left out, time and gap

        Source
        ------
        Abadie, Diamond and Hainmueller (2015), section 4.3.
        """
        frames = []
        for block in donor_blocks(design, self.pool, separate=not self.pooled):
            problem = self._problem(design, block)
            for k in np.flatnonzero(_solve(problem, self).omega):
                if len(block.donors) == 1:
                    raise InferenceError(
                        "one donor carries all weight and there is no other: leaving it out "
                        "leaves nothing to compare with. Widen the donor pool."
                    )
                path = _solve(_without(problem, np.array([k])), self).path
                frames.append(
                    pd.DataFrame(
                        {
                            "treated": block_label(design, block),
                            "left_out": design.sample.units[block.donors[k]],
                            "time": design.periods,
                            "gap": path,
                        }
                    )
                )
        return pd.concat(frames, ignore_index=True)

    def placebo_in_time(self, design: Design, period: int) -> pd.DataFrame:
        """Estimate as if treatment had begun at an earlier period, with data before treatment only.

        Returns
        -------
        DataFrame with the treated unit, time, event_time (from the pretended start) and gap,
        up to the last period before treatment

        Raises
        ------
        DesignError : the pretended start leaves fewer than two periods before it or none after

        Source
        ------
        Abadie, Diamond and Hainmueller (2015), section 4.3.
        """
        frames = []
        for block in donor_blocks(design, self.pool, separate=not self.pooled):
            times = design.periods[block.pre]
            if (times < period).sum() < 2 or times[-1] < period:
                raise DesignError(
                    f"a placebo start at {period} for the cohort of {block.cohort:g} leaves "
                    f"{plural(int((times < period).sum()), 'period')} before and "
                    f"{plural(int((times >= period).sum()), 'period')} after it; two before and "
                    f"one after are needed. Choose a period from {times[2:3]} to {times[-1:]}."
                )
            pretended = replace(
                block, pre=design.periods < period, post=block.pre & (design.periods >= period)
            )
            path = _solve(self._problem(design, pretended), self).path[block.pre]
            frames.append(
                pd.DataFrame(
                    {
                        "treated": block_label(design, block),
                        "time": times,
                        "event_time": times - period,
                        "gap": path,
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    def conformal(self, design: Design, level: float = 0.9) -> pd.DataFrame:
        """Test and bound the effect of each treated period by permuting residuals over time.

        Returns
        -------
        DataFrame with time, estimate (weights from pre-periods alone), p_value of no effect,
        conf_low and conf_high

        Raises
        ------
        InferenceError : several treated units, predictors, or too few pre-periods for the level

        Notes
        -----
        For each treated period the weights are fitted to all pre-periods and that period with
        the hypothesised effect taken out, so that residuals are exchangeable under it.

        Source
        ------
        Chernozhukov, Wuthrich and Zhu (2021), JASA 116(536), sections 2.2 and 4.
        """
        block, treated, donors = self._single_path(design, "conformal inference")
        n_before = int(block.pre.sum())
        if (n_before + 1) * (1.0 - level) < 1.0:
            raise InferenceError(
                f"{plural(n_before, 'period')} before treatment give p-values no smaller than "
                f"{1 / (n_before + 1):.3f}, too coarse for {level:.0%} intervals. Ask for a lower "
                "level."
            )
        estimates = _solve(self._problem(design, block), self).path
        rows = []
        for t in np.flatnonzero(block.post):
            used = np.append(np.flatnonzero(block.pre), t)

            def p_value(effect: float, used: NDArray[np.intp] = used) -> float:
                path = treated[used].copy()
                path[-1] -= effect
                return conformal_p_value(self._residuals(path, donors[:, used]), 1)

            spread = 4.0 * float(np.std(treated[block.pre] - donors[:, block.pre].mean(axis=0)))
            low, high = conformal_interval(p_value, float(estimates[t]), spread, level)
            rows.append((design.periods[t], estimates[t], p_value(0.0), low, high))
        columns = ["time", "estimate", "p_value", "conf_low", "conf_high"]
        return pd.DataFrame(rows, columns=columns)

    def debiased_average(self, design: Design, *, folds: int = 3) -> CrossFit:
        """Estimate the average effect with its bias measured in held-out pre-periods.

        Returns
        -------
        CrossFit, an estimate with a standard error to be read against t(folds - 1)

        Raises
        ------
        InferenceError : several treated units, predictors, or fewer than two periods a block

        Source
        ------
        Chernozhukov, Wuthrich and Zhu, "A t-test for synthetic controls", arXiv:1812.10820.
        """
        block, treated, donors = self._single_path(design, "the debiased average")
        order = np.concatenate([np.flatnonzero(block.pre), np.flatnonzero(block.post)])
        treated, donors = treated[order], donors[:, order]

        def fitted(kept: NDArray[np.intp]) -> Floats:
            return np.asarray(treated - self._residuals(treated, donors, kept))

        return cross_fit_t(treated, fitted, int(block.pre.sum()), folds=folds)

    def _residuals(
        self, path: Floats, donors: Floats, kept: NDArray[np.intp] | None = None
    ) -> Floats:
        """Return gaps of all periods with weights fitted to the periods kept."""
        pre = np.ones(len(path), dtype=bool)
        if kept is not None:
            pre = np.isin(np.arange(len(path)), kept)
        return bilinear_fit(path, donors, pre, pre, self._choice(donors[:, pre])).path

    def _single_path(self, design: Design, what: str) -> tuple[Block, Floats, Floats]:
        blocks = donor_blocks(design, self.pool, separate=not self.pooled)
        if len(blocks) > 1 or self.predictors:
            raise InferenceError(
                f"{what} is for one treated unit matched on its outcomes; here are "
                f"{plural(len(blocks), 'treated unit')} and "
                f"{plural(len(self.predictors), 'predictor')}. "
                "Keep one treated unit (or pooled=True with one cohort) and no predictors."
            )
        treated = design.outcomes[blocks[0].treated].mean(axis=0)
        return blocks[0], treated, design.outcomes[blocks[0].donors]

    def _choice(self, before: Floats) -> BilinearChoice:
        """Say how donors, with pre-period outcomes (n, T0), are weighed."""
        choice = BilinearChoice(
            times="uniform" if self.demean else "none",
            intercept=self.demean,
            proximity=self.proximity,
        )
        if self.solver == "exact":
            return choice
        noise = noise_level(before)
        ridge = (STOPPED_RIDGE * noise) ** 2 * before.shape[1]
        return replace(choice, unit_ridge=ridge, early_stop=EARLY_STOP * noise)

    def _problem(self, design: Design, block: Block) -> MatchingProblem:
        halves = predictor_windows(design, block, self.predictor_weights)
        return MatchingProblem(
            treated=design.outcomes[block.treated].mean(axis=0),
            donors=design.outcomes[block.donors],
            predictors=[
                predictor_matrix(design, block, self.predictors, window) for window in halves
            ],
            block=block,
        )

    def _placebos(
        self, design: Design, blocks: Blocks, problems: list[MatchingProblem]
    ) -> tuple[Uncertainty, list[Floats]]:
        """Return the uncertainty, and placebo paths of each block, shape (B, T)."""
        n_cohorts = len(design.cohort_values)
        if self.inference == "none":
            width = n_cohorts * (len(design.periods) + 1)
            return no_uncertainty(width, design.n_units), []
        assignments = donor_assignments(design, blocks, self.draws, self.seed)
        paths = [
            _placebo_block(problem, assignment, self)
            for problem, assignment in zip(problems, assignments, strict=True)
        ]
        joint = cohort_paths(design, blocks, np.stack(paths, axis=1))
        draws = joint.reshape(len(joint), -1)
        draws = np.concatenate((draws, np.zeros((len(draws), n_cohorts))), axis=1)
        return PlaceboDraws(draws, design.n_units), paths


def _solve(problem: MatchingProblem, settings: SyntheticControl) -> MatchingFit:
    block = problem.block
    if not settings.predictors:
        choice = settings._choice(problem.donors[:, block.pre])
        fit = bilinear_fit(problem.treated, problem.donors, block.pre, block.post, choice)
        return MatchingFit(fit.omega, fit.path, np.empty(0), fit.residual, fit.unique)
    first, last = (_standardised(X) for X in (problem.predictors[0], problem.predictors[-1]))
    judged = np.flatnonzero(block.pre)
    if settings.predictor_weights == "cross_validation":
        judged = judged[len(judged) // 2 :]
    importance = np.full(len(first), 1.0 / len(first))
    if settings.predictor_weights != "equal":
        importance = nested_fit(
            first[:, 1:], first[:, 0], problem.donors[:, judged].T, problem.treated[judged]
        ).importance
    inner = weighted_fit(last[:, 1:], last[:, 0], importance)
    gaps = gap_paths(problem.treated, problem.donors, inner.weights)
    n_before = int(block.pre.sum())
    level = np.full(n_before, 1.0 / n_before if settings.demean else 0.0)
    path = effect_paths(gaps, block.pre, level)
    return MatchingFit(inner.weights, path, importance, inner.residual, inner.unique)


def _standardised(values: Floats) -> Floats:
    """Divide each predictor by its standard deviation over treated and donors."""
    spread = values.std(axis=1, ddof=1, keepdims=True)
    return values / np.where(spread > 0.0, spread, 1.0)


def _without(problem: MatchingProblem, dropped: NDArray[np.intp]) -> MatchingProblem:
    """Take donors out of a problem."""
    return replace(
        problem,
        donors=np.delete(problem.donors, dropped, axis=0),
        predictors=[np.delete(X, dropped + 1, axis=1) for X in problem.predictors],
    )


def _placebo_block(
    problem: MatchingProblem, assignment: Assignment, settings: SyntheticControl
) -> Floats:
    """Return the paths of donors taken as treated, shape (B, T)."""
    block = problem.block
    if not settings.predictors:
        return placebo_paths(
            problem.donors,
            block.pre,
            block.post,
            assignment.groups,
            assignment.barred,
            settings._choice(problem.donors[:, block.pre]),
            np.empty(0),
        )
    paths = []
    for group, barred in zip(assignment.groups, assignment.barred, strict=True):
        pretended = MatchingProblem(
            treated=problem.donors[group].mean(axis=0),
            donors=problem.donors[~barred],
            predictors=[
                np.column_stack([X[:, 1 + group].mean(axis=1), X[:, 1:][:, ~barred]])
                for X in problem.predictors
            ],
            block=block,
        )
        paths.append(_solve(pretended, settings).path)
    return np.stack(paths)

"""Match treated paths by donors: the problem, its settings and its solution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.estimators.parts.donors import Block
from impact.estimators.parts.predictors import (
    Predictor,
    PredictorWeights,
    predictor_matrix,
    predictor_windows,
)
from impact.inference.placebo import Assignment
from impact.kernels.bilinear import (
    BilinearChoice,
    bilinear_fit,
    effect_paths,
    gap_paths,
    noise_level,
    placebo_paths,
)
from impact.kernels.predictor_weights import nested_fit, weighted_fit

__all__ = ["Matching", "MatchingFit", "MatchingProblem", "Solver"]

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]
Solver: TypeAlias = Literal["exact", "frank_wolfe"]

# Ridge and stop of synthdid's sc_estimate, in units of the noise.
STOPPED_RIDGE, EARLY_STOP = 1e-6, 1e-5


@dataclass(frozen=True, eq=False)
class MatchingProblem:
    """Paths (T,) and (n, T) to match; predictors (k, 1 + n) by window, the treated first."""

    treated: Floats
    donors: Floats
    predictors: list[Floats]
    block: Block

    def without(self, dropped: Indices) -> MatchingProblem:
        """Take donors out."""
        return replace(
            self,
            donors=np.delete(self.donors, dropped, axis=0),
            predictors=[np.delete(X, dropped + 1, axis=1) for X in self.predictors],
        )

    def pretending(self, group: Indices, barred: NDArray[np.bool_]) -> MatchingProblem:
        """Take donors as treated, and leave barred ones out."""
        return replace(
            self,
            treated=self.donors[group].mean(axis=0),
            donors=self.donors[~barred],
            predictors=[
                np.column_stack([X[:, 1 + group].mean(axis=1), X[:, 1:][:, ~barred]])
                for X in self.predictors
            ],
        )


@dataclass(frozen=True, eq=False)
class MatchingFit:
    """Donor weights (n,), effect path (T,), predictor weights (k,) and the certificate."""

    omega: Floats
    path: Floats
    importance: Floats
    residual: float
    unique: bool


@dataclass(frozen=True)
class Matching:
    """How donors are weighed; see ``SyntheticControl`` for the settings."""

    predictors: tuple[Predictor, ...]
    predictor_weights: PredictorWeights
    demean: bool
    proximity: float
    solver: Solver

    def problem(self, design: Design, block: Block) -> MatchingProblem:
        """Gather what is to be matched for one block."""
        windows = predictor_windows(design, block, self.predictor_weights)
        return MatchingProblem(
            treated=design.outcomes[block.treated].mean(axis=0),
            donors=design.outcomes[block.donors],
            predictors=[
                predictor_matrix(design, block, self.predictors, window) for window in windows
            ],
            block=block,
        )

    def solve(self, problem: MatchingProblem) -> MatchingFit:
        """Weigh donors, by outcomes alone or by predictors."""
        block = problem.block
        if not self.predictors:
            choice = self._choice(problem.donors[:, block.pre])
            fit = bilinear_fit(problem.treated, problem.donors, block.pre, block.post, choice)
            return MatchingFit(fit.omega, fit.path, np.empty(0), fit.residual, fit.unique)
        first, last = (_standardised(X) for X in (problem.predictors[0], problem.predictors[-1]))
        judged = np.flatnonzero(block.pre)
        if self.predictor_weights == "cross_validation":
            judged = judged[len(judged) // 2 :]
        importance = np.full(len(first), 1.0 / len(first))
        if self.predictor_weights != "equal":
            importance = nested_fit(
                first[:, 1:], first[:, 0], problem.donors[:, judged].T, problem.treated[judged]
            ).importance
        inner = weighted_fit(last[:, 1:], last[:, 0], importance)
        gaps = gap_paths(problem.treated, problem.donors, inner.weights)
        n_before = int(block.pre.sum())
        level = np.full(n_before, 1.0 / n_before if self.demean else 0.0)
        path = effect_paths(gaps, block.pre, level)
        return MatchingFit(inner.weights, path, importance, inner.residual, inner.unique)

    def placebos(self, problem: MatchingProblem, assignment: Assignment) -> Floats:
        """Return the paths of donors taken as treated, shape (B, T)."""
        block, pairs = problem.block, zip(assignment.groups, assignment.barred, strict=True)
        if self.predictors:
            return np.stack([self.solve(problem.pretending(*pair)).path for pair in pairs])
        return placebo_paths(
            problem.donors,
            block.pre,
            block.post,
            assignment.groups,
            assignment.barred,
            self._choice(problem.donors[:, block.pre]),
            np.empty(0),
        )

    def gaps(self, path: Floats, donors: Floats, kept: Indices) -> Floats:
        """Return gaps of all periods, (T,), with weights fitted to the outcomes of those kept."""
        pre = np.isin(np.arange(len(path)), kept)
        return bilinear_fit(path, donors, pre, pre, self._choice(donors[:, pre])).path

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


def _standardised(values: Floats) -> Floats:
    """Divide each predictor by its standard deviation over treated and donors."""
    spread = values.std(axis=1, ddof=1, keepdims=True)
    return values / np.where(spread > 0.0, spread, 1.0)

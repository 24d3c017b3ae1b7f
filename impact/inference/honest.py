"""Confidence sets for an effect when parallel trends may fail by a bounded amount.

An event study estimates ``beta = delta + (0, tau)``: before treatment only the difference in
trends ``delta``, after it the effect ``tau`` as well. Each function bounds the target
``theta = l' tau`` under a restriction on ``delta``, with pre-treatment periods before the
reference period and post-treatment ones after it, all one period apart.

Source
------
Rambachan & Roth (2023), Review of Economic Studies 90(5), 2555-2591.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice
from impact.inference.fixed_length import FixedLengthPath, smoothness_path
from impact.inference.moment_inequalities import (
    FirstStage,
    ProjectedMoments,
    accepted_range,
    accepts,
    elimination_rays,
    identified_range,
    least_favourable_value,
    project,
)

__all__ = [
    "Bias",
    "HonestProblem",
    "HonestSets",
    "Method",
    "Monotone",
    "Restriction",
]

Floats = NDArray[np.float64]
Restriction = Literal["relative_magnitudes", "smoothness", "relative_smoothness"]
Bias = Literal["positive", "negative"]
Monotone = Literal["increasing", "decreasing"]
Method = Literal["flci", "c-lf", "c-f", "conditional"]

HYBRID_SHARE = 0.1
"""Share of the level spent on the first stage of a hybrid test, as the paper recommends."""

PRECISION = 1e-6
"""Precision of the ends of a confidence set, in standard errors of the target."""

CONDITIONAL_REACH = 20.0
"""Standard errors beyond which a conditional confidence set is called unbounded."""


@dataclass(frozen=True)
class HonestSets:
    """Confidence sets for the target, one a bound on the violation of parallel trends.

    Attributes
    ----------
    bounds : array, shape (B,): Mbar for the relative restrictions, M in outcome units otherwise
    low, high : arrays, shape (B,), ends of the confidence set; NaN if every value is rejected
    set_low, set_high : arrays, shape (B,), the identified set at the point estimates
    """

    bounds: Floats
    low: Floats
    high: Floats
    set_low: Floats
    set_high: Floats


@dataclass(frozen=True)
class HonestProblem:
    """State an event study, a target and the way parallel trends may fail.

    Parameters
    ----------
    estimate : array, shape (K,), pre-treatment coefficients first, in order of time, the
        reference period left out
    covariance : array, shape (K, K)
    n_pre : number of pre-treatment coefficients
    target : array l, shape (K - n_pre,), weights on post-treatment effects; None for the first
    restriction : ``relative_magnitudes``: post-treatment changes of delta at most Mbar times the
        largest pre-treatment change; ``smoothness``: changes of slope at most M;
        ``relative_smoothness``: changes of slope at most Mbar times the largest before treatment
    bias : sign of delta after treatment, if it is known
    monotone : direction in which delta moves after treatment, if it is known
    method : ``flci`` (smoothness alone), ``c-lf`` (hybrid with the least favourable test),
        ``c-f`` (smoothness; hybrid with the fixed-length interval) or ``conditional``; None for
        ``flci``, ``c-f`` and ``c-lf``, in this order, where they apply
    size : one minus the confidence level
    draws, seed : of the normal draws for the least favourable critical value

    Raises
    ------
    InferenceError : shapes that do not agree, a covariance that is not positive definite, too
        few pre-treatment periods, a target of zero, an unknown option or one that does not apply

    Notes
    -----
    The test of each value inverts inequalities that involve post-treatment periods only, as R
    HonestDiD does. A confidence set is reported as the range from its smallest to its largest
    accepted value. Relative restrictions are a union over the period and the sign of the largest
    pre-treatment change; the confidence set is the union of theirs.

    Source
    ------
    Rambachan & Roth (2023), Sections 2.4 (restrictions), 3.1-3.3 (inference) and 4.1-4.2
    (fixed-length intervals); Andrews, Roth & Pakes (2023) for the conditional and hybrid tests.

    Example
    -------
    >>> problem = HonestProblem(np.array([0.1, 1.0]), 0.01 * np.eye(2), n_pre=1)
    >>> problem.intervals([0.0]).low.round(2)
    array([0.8])
    """

    estimate: Floats
    covariance: Floats
    n_pre: int
    target: Floats | None = None
    restriction: Restriction = "relative_magnitudes"
    bias: Bias | None = None
    monotone: Monotone | None = None
    method: Method | None = None
    size: float = 0.05
    draws: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        options = ("relative_magnitudes", "smoothness", "relative_smoothness")
        check_choice("restriction", self.restriction, options, InferenceError)
        if self.bias is not None:
            check_choice("bias", self.bias, ("positive", "negative"), InferenceError)
        if self.monotone is not None:
            check_choice("monotone", self.monotone, ("increasing", "decreasing"), InferenceError)
        if self.method is not None:
            known = ("flci", "c-lf", "c-f", "conditional")
            check_choice("method", self.method, known, InferenceError)
        self._check_numbers()
        self._check_method()

    def _check_numbers(self) -> None:
        size = len(self.estimate)
        if self.covariance.shape != (size, size) or not 0 < self.n_pre < size:
            raise InferenceError(
                f"estimate has {size} numbers, covariance has shape {self.covariance.shape} and "
                f"n_pre is {self.n_pre}; the covariance must be {size} x {size}, and at least one "
                "coefficient must lie on either side of the reference period, because violations "
                "before treatment discipline those after it."
            )
        if not (np.isfinite(self.estimate).all() and np.isfinite(self.covariance).all()):
            missing = np.flatnonzero(~np.isfinite(self.estimate + np.diag(self.covariance)))
            raise InferenceError(
                f"the event study has no estimate or variance at positions {missing.tolist()}; "
                "restrictions run from one period to the next. Leave out periods beyond the gap."
            )
        if np.linalg.eigvalsh(self._correlation)[0] < 1e-10:
            raise InferenceError(
                f"the covariance of the {size} coefficients is singular: some combination of them "
                "has no variance, as with fewer clusters than coefficients, and would be taken as "
                "known. Use fewer periods or more clusters."
            )
        weights = self.weights
        if weights.shape != (size - self.n_pre,) or not weights.any():
            raise InferenceError(
                f"target has shape {weights.shape} and must weight the {size - self.n_pre} "
                "post-treatment effects, not all by zero."
            )
        if self.restriction == "relative_smoothness" and self.n_pre < 2:
            raise InferenceError(
                "relative_smoothness compares changes of slope with those before treatment, which "
                "needs 2 pre-treatment coefficients; there is 1. Use relative_magnitudes."
            )

    def _check_method(self) -> None:
        shaped = self.bias is not None or self.monotone is not None
        if self.method == "flci" and (self.restriction != "smoothness" or shaped):
            raise InferenceError(
                "method 'flci' is a valid interval for the smoothness restriction without sign or "
                'shape only; here it could be arbitrarily wide. Use method="c-lf".'
            )
        if self.method == "c-f" and self.restriction != "smoothness":
            raise InferenceError(
                "method 'c-f' starts from a fixed-length interval, which is finite under the "
                f'smoothness restriction only; the restriction is {self.restriction}. Use "c-lf".'
            )

    @property
    def weights(self) -> Floats:
        """Weights on post-treatment effects, shape (T,)."""
        if self.target is not None:
            return np.array(self.target, dtype=np.float64)
        return np.asarray(np.eye(len(self.estimate) - self.n_pre)[0])

    @property
    def method_used(self) -> Method:
        """The method asked for, or the one the restriction calls for."""
        if self.method is not None:
            return self.method
        if self.restriction != "smoothness":
            return "c-lf"
        return "flci" if self.bias is None and self.monotone is None else "c-f"

    @property
    def std_error(self) -> float:
        """Standard error of the target when parallel trends hold."""
        weights = self.weights
        post = self.covariance[self.n_pre :, self.n_pre :]
        return float(np.sqrt(weights @ post @ weights))

    def intervals(self, bounds: Sequence[float] | Floats) -> HonestSets:
        """Return the confidence set and the identified set at each bound.

        Raises
        ------
        InferenceError : a bound is negative or not finite
        """
        values = np.atleast_1d(np.asarray(bounds, dtype=np.float64))
        if not (np.isfinite(values) & (values >= 0)).all():
            raise InferenceError(
                f"bounds must be finite and not negative; they were {values.tolist()}. Zero means "
                "that trends stay parallel, or linear under a smoothness restriction."
            )
        shape = (len(values), 2)
        sets = np.array([self._interval(bound) for bound in values]).reshape(shape).T
        identified = np.array([self._identified(bound) for bound in values]).reshape(shape).T
        return HonestSets(values, sets[0], sets[1], identified[0], identified[1])

    def breakdown(self, null: float = 0.0, most: float = 100.0) -> float:
        """Return the largest bound at which ``null`` is still rejected.

        Parameters
        ----------
        null : value of the target
        most : bound beyond which to stop, in units of Mbar or, under smoothness, standard errors

        Returns
        -------
        float : NaN if it is not rejected at zero; infinite if it is rejected at ``most``
        """
        unit = self.std_error if self.restriction == "smoothness" else 1.0
        if self.covers(null, 0.0):
            return np.nan
        rejected, covered = 0.0, 0.125
        while not self.covers(null, covered * unit):
            rejected, covered = covered, 2 * covered
            if rejected >= most:
                return np.inf
        while covered - rejected > 1e-4:
            middle = (rejected + covered) / 2
            if self.covers(null, middle * unit):
                covered = middle
            else:
                rejected = middle
        return rejected * unit

    def covers(self, theta: float, bound: float) -> bool:
        """Tell whether the confidence set at ``bound`` keeps ``theta``, without building it."""
        if self.method_used == "flci":
            low, high = self._path.interval(bound, self.size)
            return low <= theta <= high
        point = np.array([theta])
        return any(accepts(m, point, self.size, first)[0] for m, first in self._cases(bound))

    def _interval(self, bound: float) -> tuple[float, float]:
        if self.method_used == "flci":
            return self._path.interval(bound, self.size)
        cases = self._cases(bound)
        brackets = [self._bracket(*case) for case in cases]
        low, high = accepted_range(cases, brackets, self.size, PRECISION * self.std_error)
        if self.method_used == "conditional":
            low = -np.inf if low <= min(b[0] for b in brackets) else low
            high = np.inf if high >= max(b[1] for b in brackets) else high
        return low, high

    def _identified(self, bound: float) -> tuple[float, float]:
        ranges = np.array([identified_range(m) for m in self._moments(bound)])
        if np.isnan(ranges[:, 0]).all():
            return np.nan, np.nan
        return float(np.nanmin(ranges[:, 0])), float(np.nanmax(ranges[:, 1]))

    def _cases(self, bound: float) -> list[tuple[ProjectedMoments, FirstStage | None]]:
        return [(m, self._first_stage(m, bound)) for m in self._moments(bound)]

    def _moments(self, bound: float) -> list[ProjectedMoments]:
        """Project each polyhedron of the union that makes up the restriction."""
        shape = self._shape_rows
        moments = []
        for benchmark in self._benchmarks:
            rows = np.vstack(
                [self._changes - bound * benchmark, -self._changes - bound * benchmark, shape]
            )
            limits = np.zeros(len(rows))
            if self.restriction == "smoothness":
                limits[: 2 * len(self._changes)] = bound
            moments.append(
                project(self._rays, rows, limits, self.estimate, self._factor, self.weights)
            )
        return moments

    def _first_stage(self, moments: ProjectedMoments, bound: float) -> FirstStage | None:
        size = HYBRID_SHARE * self.size
        if self.method_used == "c-lf":
            critical = least_favourable_value(moments.root, size, self._normals)
            return FirstStage(size, critical=critical)
        if self.method_used == "c-f":
            weights, half_length = self._path.best(bound, size)
            return FirstStage(
                size,
                centre=float(weights @ self.estimate),
                half_length=half_length,
                covariance=moments.root @ (self._factor.T @ weights),
            )
        return None

    def _bracket(self, moments: ProjectedMoments, first: FirstStage | None) -> tuple[float, float]:
        """Give a range outside of which the test rejects."""
        if first is None:
            return identified_range(moments, CONDITIONAL_REACH)
        if first.covariance is not None:
            return first.centre - first.half_length, first.centre + first.half_length
        return identified_range(moments, first.critical)

    @cached_property
    def _path(self) -> FixedLengthPath:
        return smoothness_path(self.estimate, self.covariance, self.n_pre, self.weights)

    @cached_property
    def _correlation(self) -> Floats:
        deviation = np.sqrt(np.diag(self.covariance))
        if not (deviation > 0).all():
            return np.zeros_like(self.covariance)
        scaled: Floats = self.covariance / np.outer(deviation, deviation)
        return scaled

    @cached_property
    def _factor(self) -> Floats:
        return np.asarray(np.linalg.cholesky(self.covariance))

    @cached_property
    def _normals(self) -> Floats:
        shape = (len(self.estimate), self.draws)
        return np.random.default_rng(self.seed).standard_normal(shape)

    @cached_property
    def _path_differences(self) -> Floats:
        """First or second differences of delta, in order of time, its reference value zero."""
        size = len(self.estimate)
        order = 1 if self.restriction == "relative_magnitudes" else 2
        levels = np.delete(np.eye(size + 1), self.n_pre, axis=1)
        return np.asarray(np.diff(levels, n=order, axis=0))

    @cached_property
    def _changes(self) -> Floats:
        """Differences that involve a post-treatment period, shape (T, K)."""
        return self._path_differences[-len(self.weights) :]

    @cached_property
    def _benchmarks(self) -> list[Floats]:
        """Signed pre-treatment differences, each of which may be the largest."""
        if self.restriction == "smoothness":
            return [np.zeros(len(self.estimate))]
        before = self._path_differences[: -len(self.weights)]
        return [sign * row for row in before for sign in (1.0, -1.0)]

    @cached_property
    def _shape_rows(self) -> Floats:
        """Rows of ``row @ delta <= 0`` for the sign and the direction of delta."""
        levels = np.eye(len(self.estimate))[self.n_pre :]
        steps = levels - np.vstack([np.zeros(len(self.estimate)), levels[:-1]])
        rows = [np.empty((0, len(self.estimate)))]
        if self.bias is not None:
            rows.append(-levels if self.bias == "positive" else levels)
        if self.monotone is not None:
            rows.append(-steps if self.monotone == "increasing" else steps)
        return np.vstack(rows)

    @cached_property
    def _rays(self) -> Floats:
        rows = np.vstack([self._changes, -self._changes, self._shape_rows])
        return elimination_rays(rows[:, self.n_pre :], self.weights)

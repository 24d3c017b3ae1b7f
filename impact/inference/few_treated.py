"""Tests for few treated clusters, whose errors are learnt from the comparison clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, plural
from impact.inference.bands import check_level
from impact.inference.sets import ConfidenceSet, interval, significance

__all__ = ["FewTreatedTest", "SizeVariance", "few_treated_test", "size_variance"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_MIN_COMPARISON = 3


@dataclass(frozen=True)
class SizeVariance:
    """Variance of a cluster's error as a function of its size: common + individual / size.

    ``imprecision`` is the largest relative standard error that any fit to these sizes could have
    of the variance at the treated clusters' sizes: large when comparison clusters are few or of
    other sizes.
    """

    common: float
    individual: float
    imprecision: float

    def at(self, sizes: Floats) -> Floats:
        """Return the variance of clusters of the given sizes."""
        return np.asarray(self.common + self.individual / sizes)


@dataclass(frozen=True)
class FewTreatedTest:
    """Report a test whose reference distribution is that of comparison clusters' errors.

    Attributes
    ----------
    p_value : (1 + draws at least as large as the estimate) / (1 + draws), never zero
    confidence_set : estimate minus the draws' symmetric quantiles
    draws : draws used; ``exhaustive`` if they are all combinations
    lattice : smallest p-value
    variance : the fitted variance by size; None for Conley and Taber's test
    """

    estimate: float
    null: float
    p_value: float
    confidence_set: ConfidenceSet
    draws: int
    exhaustive: bool
    lattice: float
    variance: SizeVariance | None


def size_variance(errors: Floats, sizes: Floats, targets: Floats) -> SizeVariance:
    """Fit the variance of errors on the inverse of cluster size, both parts non-negative.

    Parameters
    ----------
    errors : array, shape (J,), comparison clusters' deviations from their mean
    sizes : array, shape (J,), units in each
    targets : array, shape (m,), sizes of the treated clusters

    Notes
    -----
    Least squares of squared errors on (1, 1/size); a negative part is set to zero and the
    other refitted. The imprecision takes squared errors to have variance 2 sigma^4 (normal
    errors): at the targets, sqrt(2 x'(X'X)^{-1} x), with X weighted by the fitted variance. It
    tells whether sizes identify the scale at all; least squares as in the paper errs by more
    where small clusters dominate, up to twice as much with log-normal sizes.

    Source
    ------
    Ferman and Pinto (2019), Review of Economics and Statistics 101(3), section III.A.
    """
    correction = len(errors) / (len(errors) - 1)
    squares = errors**2 * correction
    x = np.column_stack((np.ones(len(sizes)), 1.0 / sizes))
    spread = np.ptp(x[:, 1]) > 1e-12 * x[:, 1].max()
    common, individual = _non_negative_fit(x, squares) if spread else (squares.mean(), 0.0)
    fitted = x @ np.array([common, individual])
    imprecision = np.inf
    if spread:
        rows = x / fitted[:, None]
        at = np.column_stack((np.ones(len(targets)), 1.0 / targets))
        at = at / (at @ np.array([common, individual]))[:, None]
        leverage = np.einsum("mi,ij,mj->m", at, np.linalg.inv(rows.T @ rows), at)
        imprecision = float(np.sqrt(2 * leverage.max()))
    elif np.allclose(targets, sizes[0], rtol=1e-9, atol=0):
        imprecision = float(np.sqrt(2 / len(sizes)))
    return SizeVariance(float(common), float(individual), imprecision)


def _non_negative_fit(x: Floats, squares: Floats) -> tuple[float, float]:
    """Least squares of two regressors with coefficients no less than zero."""
    common, individual = np.linalg.lstsq(x, squares, rcond=None)[0]
    if individual < 0:
        return float(squares.mean()), 0.0
    if common < 0:
        return 0.0, float(x[:, 1] @ squares / (x[:, 1] @ x[:, 1]))
    return float(common), float(individual)


def few_treated_test(
    estimate: float,
    placebos: Floats,
    weights: Floats,
    *,
    sizes: Floats | None = None,
    treated_sizes: Floats | None = None,
    null: float = 0.0,
    draws: int = 9999,
    seed: int = 0,
    level: float | None = 0.95,
) -> FewTreatedTest:
    """Test an effect on few treated clusters against comparison clusters' placebo effects.

    The error of the estimate is sum_g w_g e_g over treated clusters g. Each e_g is drawn from
    the comparison clusters' errors under the same treatment path, rescaled with sizes by
    sqrt(v(M_g) / v(M_j)), v(M) = common + individual / M (Ferman and Pinto); as they are
    without sizes (Conley and Taber).

    Parameters
    ----------
    estimate : average effect on the treated clusters
    placebos : array, shape (J, G1), effect found in comparison cluster j when it is put in the
        place of treated cluster g; columns are centred here
    weights : array, shape (G1,), of the treated clusters in the estimate, summing to one
    sizes, treated_sizes : arrays, shape (J,) and (G1,), units in each cluster
    null : effect under the hypothesis
    level : of the confidence set; None leaves it out
    draws : combinations drawn; all J^G1 are used if no more, each cluster drawn with
        replacement

    Returns
    -------
    FewTreatedTest

    Raises
    ------
    InferenceError : fewer than 3 comparison clusters, or sizes given for one side only

    Notes
    -----
    Valid as comparison clusters become many while treated ones stay few, if errors of both
    follow one law up to the scale. Errors are enlarged by sqrt(J / (J-1)) for their estimated
    mean, and the error of that mean is added to the draws' scale. ``variance.imprecision``
    tells whether the sizes at hand identify the rescaling.

    Source
    ------
    Conley and Taber (2011), Review of Economics and Statistics 93(1), proposition 2; Ferman
    and Pinto (2019), Review of Economics and Statistics 101(3), section III.
    """
    if level is not None:
        check_level(level)
    n_comparison, n_treated = placebos.shape
    if n_comparison < _MIN_COMPARISON:
        raise InferenceError(
            f"{plural(n_comparison, 'comparison cluster')} cannot show how cluster errors are "
            f"spread; this test needs at least {_MIN_COMPARISON}. Add untreated places to the "
            "panel, or compare firms within places if assignment allows it."
        )
    if (sizes is None) != (treated_sizes is None):
        raise InferenceError(
            "sizes were given for one side only; the rescaling of errors needs the number of "
            "units in comparison clusters (sizes) and in treated ones (treated_sizes)."
        )
    errors = placebos - placebos.mean(axis=0)
    errors = errors * np.sqrt(n_comparison / (n_comparison - 1))
    variance = None
    if sizes is not None and treated_sizes is not None:
        variance = size_variance(errors @ weights, sizes, treated_sizes)
        errors = errors * np.sqrt(variance.at(treated_sizes) / variance.at(sizes)[:, None])
    picks, exhaustive = _picks(n_comparison, n_treated, draws, seed)
    drawn = np.einsum("bg,g->b", errors[picks, np.arange(n_treated)], weights)
    drawn = drawn * np.sqrt(1.0 + 1.0 / (n_comparison * np.sum(weights**2)))
    magnitudes = np.sort(np.abs(drawn))
    slack = 1e-9 * max(abs(estimate - null), float(magnitudes[-1]))
    larger = len(drawn) - np.searchsorted(magnitudes, abs(estimate - null) - slack)
    return FewTreatedTest(
        estimate=estimate,
        null=null,
        p_value=float((1 + larger) / (1 + len(drawn))),
        confidence_set=_symmetric_set(estimate, magnitudes, level),
        draws=len(drawn),
        exhaustive=exhaustive,
        lattice=1.0 / (len(drawn) + 1),
        variance=variance,
    )


def _symmetric_set(estimate: float, magnitudes: Floats, level: float | None) -> ConfidenceSet:
    """Return the effects no further from the estimate than draws of rising magnitude allow."""
    if level is None:
        return ConfidenceSet((), np.nan)
    rank = int(np.floor(significance(level) * (len(magnitudes) + 1) - 1 + 1e-9))
    reach = float(magnitudes[::-1][rank]) if rank >= 0 else np.inf
    return interval(estimate - reach, estimate + reach, level)


def _picks(n_comparison: int, n_treated: int, draws: int, seed: int) -> tuple[Integers, bool]:
    """Choose a comparison cluster for each treated one, shape (B, G1); all choices if few."""
    if n_comparison**n_treated <= draws:
        grid = np.indices((n_comparison,) * n_treated)
        return grid.reshape(n_treated, -1).T.astype(np.int64), True
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_comparison, (draws, n_treated)), False

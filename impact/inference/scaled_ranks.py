"""Randomisation statistics of one or two clusters, on one scale whatever the clusters' sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArmStatistics", "Ranked", "SizeFit", "fit_sizes", "normal_equivalent"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FLAT = 1e-12
_LEAST = 1e-20


class Ranked(Protocol):
    """Statistics of B assignments whose ranks make a test of an effect r."""

    @property
    def effect(self) -> Floats:
        """Return (2, B): the effect found in outcomes less r is effect[0] - r effect[1]."""
        ...

    def signed_squares(self, value: Floats | float) -> Floats:
        """Return the signed square of each statistic under each effect, value's shape + (B,)."""
        ...


@dataclass(frozen=True, eq=False)
class SizeFit:
    """Weighted least squares of squared errors on one and one over size, over all clusters.

    ``common`` and ``individual``, shape (...), are the parts of the variance at size n, common +
    individual / n, and ``precision``, shape (..., G), the squares' weights, one over the squared
    variance.
    """

    common: Floats
    individual: Floats
    precision: Floats


def fit_sizes(outcomes: Floats, sizes: Floats) -> SizeFit:
    """Fit the variance of outcomes about their mean to sizes, both parts non-negative.

    Parameters
    ----------
    outcomes : array, shape (..., G)
    sizes : array, shape (G,)
    """
    mean = np.sum(outcomes * sizes, axis=-1, keepdims=True) / sizes.sum()
    squares = (outcomes - mean) ** 2
    inverse = 1.0 / sizes
    weights = np.ones(outcomes.shape)
    least = _LEAST * squares.max(axis=-1, initial=0.0, keepdims=True)
    for _ in range(2):
        by_size = weights * inverse
        parts = (weights, by_size, by_size * inverse, weights * squares, by_size * squares)
        common, individual = _non_negative(*np.stack(parts).sum(axis=-1))
        fitted = np.maximum(common[..., None] + individual[..., None] * inverse, least)
        scale = fitted.mean(axis=-1, keepdims=True)
        relative = np.divide(fitted, scale, out=np.ones(fitted.shape), where=scale > 0)
        weights = 1.0 / relative**2
    return SizeFit(common, individual, weights)


def _non_negative(
    s0: Floats, s1: Floats, s2: Floats, r0: Floats, r1: Floats
) -> tuple[Floats, Floats]:
    """Solve two normal equations each, coefficients no less than zero, both shape (...)."""
    determinant = s0 * s2 - s1**2
    flat = determinant <= _FLAT * s0 * s2
    safe = np.where(flat, 1.0, determinant)
    common, individual = (s2 * r0 - s1 * r1) / safe, (s0 * r1 - s1 * r0) / safe
    alone, by_size = flat | (individual < 0), common < 0
    return (
        np.where(alone, r0 / s0, np.maximum(common, 0.0)),
        np.where(alone, 0.0, np.where(by_size, r1 / s2, individual)),
    )


def normal_equivalent(effect: Floats, variance: Floats, freedom: Floats) -> Floats:
    """Return the normal statistic as far in its tail as effect over error in a t law's, (B,).

    (8 f + 1) / (8 f + 3) sqrt(f log(1 + t^2 / f)) without its sign; within 0.09 / f of the exact
    one for t up to 5 and degrees of freedom f from 2 on.

    Source
    ------
    Wallace (1959), Annals of Mathematical Statistics 30(4), section 2.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = np.where(effect == 0.0, 0.0, effect**2 / variance)
        shrink = (8 * freedom + 1) / (8 * freedom + 3)
        return np.asarray(shrink * np.sqrt(freedom * np.log1p(squared / freedom)))


@dataclass(frozen=True, eq=False)
class ArmStatistics:
    """Statistics of B choices of an arm of one or two clusters out of G, at each of D dates.

    The effect is the difference in size-weighted means. Its error is learnt from the other
    clusters, whose squared errors are fitted to their sizes without the arm; where the arm is two
    clusters, also from the spread within either arm, and the two t statistics are added. Each is
    turned into a normal one by its Satterthwaite degrees of freedom first, so that arms whose
    error is known badly do not crowd the tail.

    Parameters
    ----------
    outcomes : array, shape (G,) or (D, G), change of each cluster
    treatment : array of that shape, what an effect of one added to them
    sizes : array, shape (G,)
    members : array, shape (B, 1) or (B, 2), clusters of the arm
    sign : 1 if the arm is the treated one, -1 if it is the other

    Notes
    -----
    The degrees of freedom of the fit count its imprecision by half beyond that of a common
    variance, which tests/calibration shows to even out sizes. They depend on sizes and on the
    outcomes of all clusters alike, so the test stays exact under random assignment. The spread
    within arms is corrected and given degrees of freedom as if all clusters varied alike.

    Source
    ------
    Ferman and Pinto (2019), Review of Economics and Statistics 101(3), section III.A, for the
    variance; Beran (1988), Journal of the American Statistical Association 83(403), for
    prepivoting.
    """

    outcomes: Floats
    treatment: Floats
    sizes: Floats
    members: Integers
    sign: float = 1.0

    @cached_property
    def effect(self) -> Floats:
        """Effect in the outcomes and what an effect of one adds to it, shape (2, D B)."""
        both = np.stack((self.outcomes, self.treatment))
        return self._difference(both)[0].reshape(2, -1)

    def signed_squares(self, value: Floats | float) -> Floats:
        """Return the signed square of each statistic under each effect, value's shape + (D B,)."""
        at = np.asarray(value)
        values = self.outcomes - at.reshape(at.shape + (1,) * self.outcomes.ndim) * self.treatment
        effect, own, other = self._difference(values)
        fit = fit_sizes(values, self.sizes)
        least = _LEAST * values.var(axis=-1, keepdims=True)
        variance, freedom = self._fitted(values, other, fit)
        z = normal_equivalent(effect, np.maximum(variance, least), freedom)
        if self.members.shape[1] > 1:
            spread = self._spread(values, own, other)
            z = z + normal_equivalent(effect, np.maximum(spread, least), self._geometry.freedom)
        return np.asarray(np.sign(effect) * z**2).reshape((*at.shape, -1))

    def _difference(self, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the effect and the means of the arm and of the others, all (..., B)."""
        mass = self.sizes * values
        own = self._inside(mass)
        g = self._geometry
        first, second = own / g.mass, (mass.sum(axis=-1, keepdims=True) - own) / g.rest
        return self.sign * (first - second), first, second

    def _inside(self, values: Floats) -> Floats:
        """Sum over the clusters of the arm, shape (..., B)."""
        first, *others = (np.take(values, member, axis=-1) for member in self.members.T)
        return np.asarray(sum(others, first))

    def _outside(self, values: Floats) -> Floats:
        """Sum over the clusters outside the arm, shape (..., B)."""
        return np.asarray(values.sum(axis=-1, keepdims=True) - self._inside(values))

    def _fitted(self, values: Floats, mean: Floats, fit: SizeFit) -> tuple[Floats, Floats]:
        """Return the variance of the effect fitted without the arm, and its freedom, (..., B)."""
        inverse, g = 1.0 / self.sizes, self._geometry
        weights = np.stack((fit.precision, fit.precision * inverse))
        totals, linear, square = self._outside(
            np.stack((weights, weights * values, weights * values**2))
        )
        (s0, s1), s2 = totals, self._outside(weights[1] * inverse)
        r0, r1 = square - 2 * mean * linear + mean**2 * totals
        count = len(self.sizes) - self.members.shape[1]
        common, individual = _non_negative(s0, s1, s2, r0, r1)
        expected = g.common * fit.common[..., None] + g.individual * fit.individual[..., None]
        determinant = s0 * s2 - s1**2
        flat = determinant <= _FLAT * s0 * s2
        error = g.common**2 * s2 - 2 * g.common * g.individual * s1 + g.individual**2 * s0
        scale = (fit.common + fit.individual * inverse.mean())[..., None]
        relative = 2 * error * scale**2 / np.where(flat, 1.0, determinant)
        relative = np.divide(relative, expected**2, out=np.zeros(s0.shape), where=expected > 0)
        alike = 2.0 / count
        imprecision = np.where(flat, alike, 0.5 * (relative + alike))
        variance = (g.common * common + g.individual * individual) * count / (count - 1)
        return variance, 2.0 / imprecision

    def _spread(self, values: Floats, own: Floats, other: Floats) -> Floats:
        """Return the variance of the effect by the spread within either arm, shape (..., B)."""
        g, squares = self._geometry, self.sizes**2
        inside = sum(
            (self.sizes[member] * (np.take(values, member, axis=-1) - own)) ** 2
            for member in self.members.T
        )
        linear, square = self._outside(np.stack((squares * values, squares * values**2)))
        rest = square - 2 * other * linear + other**2 * self._outside(squares)
        return np.asarray(
            g.corrections[0] * inside / g.mass**2
            + g.corrections[1] * np.maximum(rest, 0.0) / g.rest**2
        )

    @cached_property
    def _geometry(self) -> _Geometry:
        return _geometry(self.sizes, self.members)


@dataclass(frozen=True, eq=False)
class _Geometry:
    """What B arms are whatever the outcomes, each array (B,).

    ``mass`` and ``rest`` are total sizes; ``common`` and ``individual`` what the two parts of a
    cluster's variance count for in the effect's; ``corrections`` (2, B) take the bias off the
    spread within arms, whose ``freedom`` it is.
    """

    mass: Floats
    rest: Floats
    common: Floats
    individual: Floats
    corrections: Floats
    freedom: Floats


def _geometry(sizes: Floats, members: Integers) -> _Geometry:
    own = sizes[members]
    inside = np.stack([(own**k).sum(axis=1) for k in range(1, 6)])
    sums = np.stack((inside, np.sum(sizes ** np.arange(1, 6)[:, None], axis=1)[:, None] - inside))
    shares = sums / sums[:, :1] ** np.arange(1, 6)[:, None]
    _, s2, s3, s4, s5 = np.swapaxes(shares, 0, 1)
    mean = s2 - 2 * s3 + s2**2
    corrections = np.divide(s2, mean, out=np.zeros(mean.shape), where=mean > _FLAT)
    # Trace of the squared product of squared shares and the covariance of deviations from a mean.
    trace = s2**4 - 4 * s2**2 * s3 + 2 * s2 * s4 + 2 * s3**2 + s4 * (1 + 2 * s2) - 4 * s5
    spread = np.maximum((trace * corrections**2).sum(axis=0), _LEAST)
    return _Geometry(
        mass=inside[0],
        rest=sums[1, 0],
        common=s2.sum(axis=0),
        individual=(1.0 / sums[:, 0]).sum(axis=0),
        corrections=corrections,
        freedom=s2.sum(axis=0) ** 2 / spread,
    )

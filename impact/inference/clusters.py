"""Covariances of regression coefficients, all from one fit: classical to CR3, by convention.

Conventions for small samples, with n rows, k coefficients, E the rank of the fixed effects and G
clusters:

=============  ==========================================  ===================  =============
name           factor on the sandwich                      K                    t degrees
=============  ==========================================  ===================  =============
fixest, stata  (n - 1) / (n - K) * G / (G - 1)             k + F                G - 1
areg           (n - 1) / (n - K) * G / (G - 1)             k + E                G - 1
sandwich       as areg, each cluster dimension its own G   k + E                n - k - E
clubsandwich   G / (G - 1)                                 -                    G - 1
plm            1                                           -                    n - k - E
linearmodels   n / (n - K)                                 k + E                n - k - E
=============  ==========================================  ===================  =============

F counts levels as fixest does by default: all levels and unit slopes less one an effect beyond
the first, where an effect nested in the clusters counts as one. "stata" is what xtreg, fe and
reghdfe report, which is the same; areg counts absorbed effects although they are nested.
linearmodels leaves an effect out of K where it is the only one and each cluster dimension nests it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.errors import InferenceError, VarianceError, check_choice
from impact.inference.crossed_blocks import crossed_blocks
from impact.inference.wild_terms import TwoWayRows
from impact.kernels.absorb import absorb
from impact.kernels.blocks import (
    ClusterBlocks,
    cluster_blocks,
    weighted_adjustment,
)
from impact.kernels.groups import Groups, compact, is_nested
from impact.kernels.least_squares import LeastSquares, find_redundant
from impact.kernels.products import inner
from impact.kernels.working_model import WorkingModel

__all__ = [
    "CONVENTIONS",
    "KINDS",
    "BlockScores",
    "Convention",
    "EffectCounts",
    "FullRegression",
    "HotellingTest",
    "Kernel",
    "Kind",
    "count_effects",
    "full_regression",
    "projected_regression",
    "small_sample_factor",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Convention = Literal["fixest", "stata", "areg", "sandwich", "clubsandwich", "plm", "linearmodels"]
Kind = Literal["classical", "HC0", "HC1", "HC2", "HC3", "CR0", "CR1", "CR2", "CR3", "jackknife"]

CONVENTIONS = ("fixest", "stata", "areg", "sandwich", "clubsandwich", "plm", "linearmodels")
KINDS = ("classical", "HC0", "HC1", "HC2", "HC3", "CR0", "CR1", "CR2", "CR3", "jackknife")
ADJUSTED = ("CR2", "CR3", "jackknife")

MOST_DUMMIES = 1_500
"""Most levels of effects that cross clusters for which CR2 and CR3 are computed."""


class Kernel(Protocol):
    """A covariance that lets rows of different clusters correlate, such as Conley's."""

    @property
    def method(self) -> str:
        """The method in words."""
        ...

    def meat(self, row_scores: Floats) -> Floats:
        """Return the (k, k) sum of score products weighted by the kernel; scores are (k, n)."""
        ...

    def factor(self, n_rows: int, n_parameters: int) -> float:
        """Return the small-sample factor."""
        ...

    def df(self, n_rows: int, n_parameters: int) -> float | None:
        """Return the degrees of freedom of t statistics."""
        ...


@dataclass(frozen=True)
class EffectCounts:
    """How many parameters the absorbed effects count for.

    Parameters
    ----------
    rank : their exact rank E
    fixest : F of the module's table
    all_nested : whether there is one effect at most and each cluster dimension nests it
    """

    rank: int = 0
    fixest: int = 0
    all_nested: bool = True


def count_effects(
    effects: Sequence[Groups], clusters: Sequence[Groups], rank: int, n_slopes: int = 0
) -> EffectCounts:
    """Count absorbed effects, the first of which carries ``n_slopes`` slopes a group."""
    if not effects:
        return EffectCounts()
    nested = [any(is_nested(effect, groups) for groups in clusters) for effect in effects]
    levels = sum(1 if n else effect.size for effect, n in zip(effects, nested, strict=True))
    slopes = n_slopes * effects[0].size
    alone = len(effects) == 1 and not n_slopes
    all_nested = alone and all(is_nested(effects[0], groups) for groups in clusters)
    return EffectCounts(rank, levels + slopes - (len(effects) - 1), all_nested)


def small_sample_factor(
    convention: Convention,
    *,
    n_rows: int,
    n_regressors: int,
    effects: EffectCounts,
    n_clusters: int,
) -> float:
    """Return what a cluster-robust sandwich is multiplied by; see the module's table.

    Raises
    ------
    VarianceError : one cluster, or no degrees of freedom
    """
    check_choice("convention", convention, CONVENTIONS, InferenceError)
    _require_clusters(n_clusters)
    if convention == "plm":
        return 1.0
    between = n_clusters / (n_clusters - 1)
    if convention == "clubsandwich":
        return between
    parameters = n_regressors + effects.rank
    if convention in ("fixest", "stata"):
        parameters = n_regressors + effects.fixest
    if convention == "linearmodels" and effects.all_nested:
        parameters = n_regressors
    _require_freedom(n_rows, parameters)
    if convention == "linearmodels":
        return n_rows / (n_rows - parameters)
    return (n_rows - 1) / (n_rows - parameters) * between


def _require_freedom(n_rows: int, parameters: int) -> None:
    """Refuse as many parameters as rows."""
    if n_rows <= parameters:
        raise VarianceError(
            f"{n_rows} rows leave no degrees of freedom beside {parameters} parameters "
            "(coefficients and fixed effects), so standard errors do not exist. Use fewer "
            "regressors or effects."
        )


def _require_clusters(n_clusters: int) -> None:
    """Refuse one cluster."""
    if n_clusters < 2:
        raise VarianceError(
            "all rows belong to one cluster, so nothing tells how far its sum of errors may "
            "stray and no cluster-robust standard error exists. Cluster at a finer level at which "
            "treatment was assigned, or use permutation inference."
        )


@dataclass(frozen=True, eq=False)
class FullRegression:
    """A regression with effects that cross clusters written out as columns.

    The first k columns of ``blocks`` are the fit's own. Asked for with rows, as CR2 with weights
    takes them, ``regressors`` (K, n) are the same columns by row and ``bases`` (q, n) those of the
    effects swept out, all nested in clusters, by ``units`` (n,); else they are empty.
    """

    blocks: ClusterBlocks
    regressors: Floats = field(default_factory=lambda: np.empty((0, 0)))
    bases: Floats = field(default_factory=lambda: np.empty((0, 0)))
    units: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def full_regression(
    fit: LeastSquares,
    outcome: Floats,
    regressors: Floats,
    weights: Floats | None,
    effects: Sequence[Groups],
    slopes: Floats | None,
    clusters: Groups,
    *,
    draws: Groups | None = None,
    with_rows: bool = False,
) -> FullRegression:
    """Sweep out the effects nested in clusters and write the others out as dummy columns.

    Parameters
    ----------
    fit : the regression of ``outcome`` (n,) on ``regressors`` (k, n) with all effects swept out
    draws : partition within which effects must lie to be swept out; the clusters if None
    with_rows : whether columns by row are needed beside the blocks

    Raises
    ------
    InferenceError : effects that cross clusters have more than 1,500 levels, or unit slopes
        belong to units that cross clusters
    """
    clusters = clusters if draws is None else draws
    nested = [effect for effect in effects if is_nested(effect, clusters)]
    crossing = [effect for effect in effects if not is_nested(effect, clusters)]
    if slopes is not None and (not nested or nested[0] is not effects[0]):
        raise InferenceError(
            "CR2 and CR3 need each unit to stay in one cluster when units have trends of their "
            "own; here units change cluster. Use CR1, or cluster at a wider level."
        )
    levels = sum(effect.size for effect in crossing)
    if levels > MOST_DUMMIES:
        raise InferenceError(
            f"effects that cross clusters have {levels:,} levels; CR2 and CR3 write them out as "
            f"columns, at most {MOST_DUMMIES:,}. Use CR1 or the wild cluster bootstrap's "
            "score version, or cluster at a level within which those effects lie."
        )
    if slopes is None and len(nested) < 2 and not with_rows:
        return FullRegression(
            crossed_blocks(fit, nested[0] if nested else None, crossing, clusters)
        )
    dummies = [np.eye(effect.size)[:, effect.codes] for effect in crossing]
    columns = np.concatenate((outcome[None, :], regressors, *dummies))
    n = len(outcome)
    bases, units = np.zeros((0, n)), np.zeros(n, dtype=np.int64)
    before = np.einsum("kn,kn->k", columns, columns if weights is None else columns * weights)
    if nested:
        absorber = absorb([effect.codes for effect in nested], weights, slopes)
        columns = absorber.sweep(columns)
        bases, units = absorber.block.bases, absorber.block.units.codes
        if absorber.levels is not None:
            raise InferenceError(
                "CR2 and CR3 are not computed with two effects that are both nested in clusters "
                "and not in each other. Use CR1, or drop one of the effects."
            )
    y, x = columns[0], columns[1:]
    gram = (x if weights is None else x * weights) @ x.T
    dropped = {r.column for r in find_redundant(gram, before[1:])}
    x = x[[j for j in range(len(x)) if j not in dropped]]
    products = cluster_blocks(y, x, clusters.codes, clusters.size, weights)
    return FullRegression(products, x, bases, units)


def projected_regression(
    fit: LeastSquares, effects: Sequence[Groups], clusters: Groups
) -> Callable[..., FullRegression]:
    r"""Return what builds the blocks of a fit whose regressors are projections on instruments.

    With :math:`\hat X` the projected regressors and :math:`\hat u` the structural residuals they
    are those of the regression of :math:`\hat X\hat\beta + \hat u` on :math:`\hat X` and the
    effects, whose coefficients and scores are the fit's own.
    """
    outcome = fit.coefficients @ fit.regressors + fit.residuals
    return cache(
        partial(full_regression, fit, outcome, fit.regressors, fit.weights, effects, None, clusters)
    )


@dataclass(frozen=True)
class HotellingTest:
    """An F statistic of several restrictions with its denominator degrees of freedom."""

    statistic: float
    restrictions: int
    df: float
    p_value: float


@dataclass(frozen=True, eq=False)
class BlockScores:
    """Uncertainty of linear combinations of regression coefficients.

    Parameters
    ----------
    fit : the regression
    clusters : one partition of rows a cluster dimension
    contrast : shape (A, k), the combinations whose uncertainty this is
    effects : what absorbed effects count for
    make_full : builds the regression that CR2 and CR3 are computed from; takes ``draws`` and
        ``with_rows`` of `full_regression`
    kind : a name, or a kernel such as `impact.inference.spatial.Conley` bound to the rows
    convention : small-sample convention
    uncorrected : why CR2, CR3 and the jackknife do not exist although blocks do, as with
        instruments; empty if they exist

    Notes
    -----
    Any other kind or convention comes from ``with_kind`` without refitting. CR3 is clubSandwich's;
    "jackknife" is CR3 times (G - 1)/G, the sum of squared deviations of leave-one-cluster-out
    estimates from the full one (CV3 of MacKinnon, Nielsen and Webb 2023). With several cluster
    dimensions the covariance is the inclusion-exclusion sum of Cameron, Gelbach and Miller
    (2011), whose negative eigenvalues are set to zero; "sandwich", "plm" and "linearmodels" do so
    only where a variance is negative. CR2, CR3 and contributions use the first dimension alone
    and CR2 and CR3 refuse more than one.
    """

    fit: LeastSquares
    clusters: tuple[Groups, ...]
    contrast: Floats
    effects: EffectCounts
    make_full: Callable[..., FullRegression]
    kind: Kind | Kernel = "CR1"
    convention: Convention = "fixest"
    uncorrected: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.kind, str):
            check_choice("covariance", self.kind, KINDS, InferenceError)
        if self.uncorrected and self.kind in ADJUSTED:
            raise InferenceError(self.uncorrected)
        check_choice("convention", self.convention, CONVENTIONS, InferenceError)

    def with_kind(
        self, kind: Kind | Kernel | None = None, convention: Convention | None = None
    ) -> BlockScores:
        """Return the same estimates' uncertainty of another kind or convention."""
        return replace(
            self,
            kind=self.kind if kind is None else kind,
            convention=self.convention if convention is None else convention,
        )

    @property
    def n_clusters(self) -> int:
        """Number of clusters: the smallest dimension's where there are several."""
        return min(groups.size for groups in self.clusters)

    @property
    def _n_parameters(self) -> int:
        return len(self.fit.kept) + self.fit.n_effects

    @property
    def df(self) -> float | None:
        """Degrees of freedom; for CR2 the smallest of ``freedoms``."""
        freedoms = self.freedoms
        known = freedoms[~np.isnan(freedoms)]
        return float(known.min()) if len(known) else None

    @cached_property
    def freedoms(self) -> Floats:
        """Degrees of freedom of each combination, shape (A,); NaN for an empty combination."""
        if self.kind == "CR2":
            return self._adjusted_freedoms
        if isinstance(self.kind, str):
            by_rows = self.kind.startswith("HC") or self.kind == "classical"
            by_rows |= self.convention in ("sandwich", "plm", "linearmodels")
            df: float | None = self.fit.df_residual if by_rows else self.n_clusters - 1
        else:
            df = self.kind.df(self.fit.n_rows, self._n_parameters)
        return np.full(len(self.contrast), np.nan if df is None else df)

    @property
    def method(self) -> str:
        """The covariance in words."""
        if not isinstance(self.kind, str):
            return self.kind.method
        if self.kind == "classical" or self.kind.startswith("HC"):
            return "classical" if self.kind == "classical" else f"{self.kind} (robust)"
        if self.kind == "jackknife":
            return "cluster jackknife"
        way = {1: "", 2: "two-way "}.get(len(self.clusters), f"{len(self.clusters)}-way ")
        small = f" with {self.convention}'s small-sample factor" if self.kind == "CR1" else ""
        freedom = " with Satterthwaite degrees of freedom" if self.kind == "CR2" else ""
        return f"{way}cluster-robust {self.kind}{small}{freedom}"

    def covariance(self) -> Floats:
        """Return the covariance of the combinations, shape (A, A)."""
        return self.contrast @ self.coefficient_covariance @ self.contrast.T

    def variances(self) -> Floats:
        """Return the diagonal of the covariance, shape (A,)."""
        return np.asarray(
            ((self.contrast @ self.coefficient_covariance) * self.contrast).sum(axis=1)
        )

    def combine(self, weights: Floats) -> BlockScores:
        """Return the uncertainty of ``weights @ estimates``."""
        return replace(self, contrast=weights @ self.contrast)

    def contributions(self) -> Floats:
        """Return each cluster's contribution to estimate minus truth, shape (G, A).

        For CR2 and CR3 these are the adjusted ones, for every other kind the plain scores.
        """
        if self.kind in ADJUSTED:
            return self._adjusted_scores @ self._full.blocks.bread @ self._wide_contrast.T
        return self.cluster_scores @ self.fit.bread @ self.contrast.T

    @cached_property
    def cluster_scores(self) -> Floats:
        """Sum of the row scores over the clusters of the first dimension, shape (G, k)."""
        return np.ascontiguousarray(self.clusters[0].total(self.fit.row_scores()).T)

    @property
    def blocks(self) -> ClusterBlocks:
        """Cluster blocks of the regression with all effects that cross clusters as columns.

        The first k columns are the fit's own; ``wide_contrast`` pads combinations to match.
        """
        return self._full.blocks

    def subcluster_blocks(self, units: Groups) -> tuple[ClusterBlocks, Integers]:
        """Return blocks of units within clusters, and the cluster of each block, shape (M,).

        Raises
        ------
        InferenceError : units cross clusters, or rows are not those of the regression
        """
        clusters = self.clusters[0]
        if len(units.codes) != len(clusters.codes) or not is_nested(units, clusters):
            raise InferenceError(
                "The subcluster bootstrap draws for units within clusters; here units move between "
                "clusters, or the regression does not run on the design's own rows. Use "
                'method="wild", which draws for clusters.'
            )
        home = np.empty(units.size, dtype=np.int64)
        home[units.codes] = clusters.codes
        return self.make_full(draws=units).blocks, home

    def two_way_rows(self, row: int) -> TwoWayRows:
        """Return the regression by row for the two-way bootstrap of one combination.

        Effects nested in the first dimension are swept out, so that draws are to be made by it.

        Raises
        ------
        InferenceError : the design does not cluster on two dimensions
        """
        if len(self.clusters) != 2:
            raise InferenceError(
                f"The two-way bootstrap takes two cluster dimensions; this design has "
                f'{len(self.clusters)}. Give clusters=["province", "year"], or use method="wild".'
            )
        full = self.make_full(draws=self.clusters[0], with_rows=True)
        extra = len(full.regressors) - len(self.fit.kept)
        return TwoWayRows(
            estimate=float(self.contrast[row] @ self.fit.coefficients),
            regressors=full.regressors,
            residuals=self.fit.residuals,
            weights=self.fit.weights,
            contrast=np.pad(self.contrast[row], (0, extra)),
            first=self.clusters[0].codes,
            second=self.clusters[1].codes,
        )

    @property
    def wide_contrast(self) -> Floats:
        """The combinations in the columns of ``blocks``, shape (A, K)."""
        return self._wide_contrast

    def leverages(self, row: int) -> tuple[Floats, ...]:
        """Return the share of each dimension's clusters in the information on one combination.

        With z the combination's regressor, all others and the effects taken out of it, that of a
        cluster is the sum of w z^2 over its rows, divided by that over all rows.
        """
        regressor = self.contrast[row] @ self.fit.bread @ self.fit.regressors
        own = regressor**2 if self.fit.weights is None else self.fit.weights * regressor**2
        return tuple(groups.total(own) / own.sum() for groups in self.clusters)

    def effective_clusters(self) -> Floats:
        """Return the effective number of clusters of each combination, shape (A,)."""
        return np.array([self.blocks.effective_clusters(c) for c in self._wide_contrast])

    @cached_property
    def coefficient_covariance(self) -> Floats:
        """Covariance of all kept coefficients, shape (k, k)."""
        fit = self.fit
        if not isinstance(self.kind, str):
            _require_freedom(fit.n_rows, self._n_parameters)
            meat = self.kind.meat(fit.row_scores())
            scale = self.kind.factor(fit.n_rows, self._n_parameters)
            return scale * fit.bread @ meat @ fit.bread
        if self.kind in ("classical", "HC1", "HC2", "HC3"):
            _require_freedom(fit.n_rows, self._n_parameters)
        if self.kind == "classical":
            return fit.sigma2 * fit.bread
        if self.kind.startswith("HC"):
            return fit.bread @ self._row_meat(self.kind) @ fit.bread
        if self.kind in ADJUSTED:
            wide = self._full.blocks.bread @ self._adjusted_scores.T
            return (wide @ wide.T)[: len(fit.kept), : len(fit.kept)]
        covariance = fit.bread @ self._cluster_meat() @ fit.bread
        if len(self.clusters) == 1:
            return covariance
        repairs = self.convention not in ("sandwich", "plm", "linearmodels")
        negative = bool((np.diagonal(covariance) < 0).any())
        return _without_negative_eigenvalues(covariance) if repairs or negative else covariance

    def _row_meat(self, kind: str) -> Floats:
        fit = self.fit
        scores = fit.row_scores()
        if kind == "HC1":
            scores = scores * np.sqrt(fit.n_rows / fit.df_residual)
        if kind in ("HC2", "HC3"):
            left = 1 - fit.leverages
            # A row with leverage one is fitted exactly: its score is zero whatever the divisor.
            left = np.where(left > 1e-10, left, np.inf)
            scores = scores / (np.sqrt(left) if kind == "HC2" else left)
        return scores @ scores.T

    def _cluster_meat(self) -> Floats:
        """Sum products of cluster scores, by inclusion and exclusion over dimensions."""
        if len(self.clusters) == 1:
            scores = self.cluster_scores.T
            return self._factor(self.clusters[0].size) * inner(scores, scores)
        rows = self.fit.row_scores()
        meat = np.zeros((len(rows), len(rows)))
        for chosen in range(1, 2 ** len(self.clusters)):
            picked = [g for j, g in enumerate(self.clusters) if chosen >> j & 1]
            groups = _intersect(picked)
            size = groups.size if self.convention == "sandwich" else self.n_clusters
            scores = groups.total(rows)
            meat += (-1) ** (len(picked) + 1) * self._factor(size) * (scores @ scores.T)
        return meat

    def _factor(self, n_clusters: int) -> float:
        factor = small_sample_factor(
            self.convention,
            n_rows=self.fit.n_rows,
            n_regressors=len(self.fit.kept),
            effects=self.effects,
            n_clusters=n_clusters,
        )
        return 1.0 if self.kind == "CR0" else factor

    @cached_property
    def _full(self) -> FullRegression:
        _require_clusters(self.n_clusters)
        if len(self.clusters) > 1:
            raise InferenceError(
                f"{self.kind} is defined for one cluster dimension; this design has "
                f"{len(self.clusters)}. Name the one at which treatment was assigned, or use CR1."
            )
        if self.kind in ADJUSTED and self.fit.weights is not None:
            return self.make_full(with_rows=True)
        return self.make_full()

    @cached_property
    def _wide_contrast(self) -> Floats:
        extra = self._full.blocks.gram.shape[1] - self.contrast.shape[1]
        return np.pad(self.contrast, ((0, 0), (0, extra)))

    @cached_property
    def _adjusted_scores(self) -> Floats:
        """Cluster scores of CR2, CR3 or the jackknife, in the columns of ``blocks``."""
        blocks = self._full.blocks
        if self.kind == "CR2":
            return (
                self._reweighted[0]
                if self.fit.weights is not None
                else blocks.adjusted_scores(-0.5)
            )
        shrink = (blocks.n_clusters - 1) / blocks.n_clusters if self.kind == "jackknife" else 1.0
        return np.asarray(blocks.adjusted_scores(-1.0) * np.sqrt(shrink))

    @cached_property
    def _adjusted_freedoms(self) -> Floats:
        if self.fit.weights is None:
            return self._full.blocks.satterthwaite(self._wide_contrast)
        return self._reweighted[1].freedoms()

    @cached_property
    def _reweighted(self) -> tuple[Floats, WorkingModel]:
        full, weights = self._full, self.fit.weights
        assert weights is not None
        return weighted_adjustment(
            full.regressors,
            self.fit.residuals,
            weights,
            self.clusters[0].codes,
            full.blocks.bread,
            self._wide_contrast,
            full.bases,
            full.units,
        )

    @property
    def _working_covariance(self) -> Floats:
        """Covariance of the coefficients of ``blocks`` under CR2's working model, variance one."""
        full, weights = self._full, self.fit.weights
        bread = full.blocks.bread
        if weights is None:
            return bread
        return np.asarray(bread @ ((full.regressors * weights**2) @ full.regressors.T) @ bread)

    def hotelling_test(self, estimates: Floats) -> HotellingTest:
        """Test that all combinations are zero by CR2 and Hotelling's approximation (HTZ).

        Parameters
        ----------
        estimates : shape (A,), of the combinations

        Notes
        -----
        Combinations that others determine are left out. With eta degrees of freedom of the
        covariance taken for a Wishart matrix, (eta - q + 1)/(eta q) times the Wald statistic is
        compared with F(q, eta - q + 1). There is no p-value where eta < q.

        Source
        ------
        Pustejovsky and Tipton (2018), Journal of Business and Economic Statistics 36(4),
        section 3.2.
        """
        cr2 = self if self.kind == "CR2" else self.with_kind("CR2")
        target = cr2._wide_contrast @ cr2._working_covariance @ cr2._wide_contrast.T
        live = np.diagonal(target) > 0
        scale = np.where(live, 1 / np.sqrt(np.where(live, np.diagonal(target), 1)), 0)
        values, vectors = np.linalg.eigh(target * np.outer(scale, scale))
        keep = values > 1e-10 * values[-1]
        rotation = (vectors[:, keep] / np.sqrt(values[keep])).T * scale
        if cr2.fit.weights is None:
            model = cr2._full.blocks.working_model(rotation @ cr2._wide_contrast)
        else:
            model = cr2._reweighted[1].combine(rotation)
        rotated = rotation @ np.where(live, estimates, 0.0)
        matrix = rotation @ cr2.covariance() @ rotation.T
        q, eta = len(rotation), model.hotelling()
        wald = float(rotated @ np.linalg.pinv(matrix, hermitian=True) @ rotated)
        freedom = eta - q + 1
        if not freedom > 0 or np.linalg.matrix_rank(matrix, hermitian=True) < q:
            return HotellingTest(wald / q, q, freedom, np.nan)
        statistic = wald * freedom / (eta * q)
        return HotellingTest(statistic, q, freedom, float(special.fdtrc(q, freedom, statistic)))


def _without_negative_eigenvalues(covariance: Floats) -> Floats:
    """Set what is negative beyond rounding among a covariance's eigenvalues to zero."""
    values, vectors = np.linalg.eigh(covariance)
    below = np.where(values < -1e-14 * np.abs(values).max(), values, 0.0)
    return np.asarray(covariance - (vectors * below) @ vectors.T)


def _intersect(partitions: Sequence[Groups]) -> Groups:
    """Return the partition into rows alike in all dimensions."""
    codes = partitions[0].codes
    for groups in partitions[1:]:
        codes = compact(codes).codes * groups.size + groups.codes
    return compact(codes)

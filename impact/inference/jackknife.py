"""Leaving clusters out: jackknife covariances, corrected contributions, pairs bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, listing, plural

__all__ = [
    "ArmVariance",
    "PairsBootstrap",
    "arm_variance",
    "jackknife_covariance",
    "pairs_cluster_bootstrap",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FULL_LEVERAGE = 1e-9


def jackknife_covariance(estimates: Floats, left_out: Floats) -> Floats:
    """Return the cluster-jackknife covariance of estimates, shape (K, K).

    V = (G - 1)/G sum_g (theta_(-g) - theta)(theta_(-g) - theta)'.

    Parameters
    ----------
    estimates : array, shape (K,), from all clusters
    left_out : array, shape (G, K), without each cluster in turn

    Raises
    ------
    InferenceError : an estimate does not exist without some cluster

    Source
    ------
    MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38(5), eq. (15), CV3;
    deviations are taken from the full estimate, not from the replicates' mean (CV3J).
    """
    lost = np.flatnonzero(np.isnan(left_out).any(axis=1))
    if len(lost):
        raise InferenceError(
            f"An estimate does not exist without cluster number {listing(lost + 1)} of "
            f"{len(left_out)} ({plural(len(lost), 'cluster')}), so the jackknife cannot tell its "
            "error. Use the permutation or Ferman-Pinto test, or estimate fewer effects."
        )
    n_clusters = len(left_out)
    deviations = left_out - estimates
    return np.asarray((n_clusters - 1) / n_clusters * deviations.T @ deviations)


@dataclass(frozen=True)
class ArmVariance:
    """Variance of an estimate that compares arms, with Satterthwaite degrees of freedom."""

    variance: float
    df: float


def arm_variance(
    contributions: Floats, labels: Integers, sizes: Floats, never: int, *, power: float = 0.5
) -> ArmVariance:
    """Correct cluster contributions for what each cluster weighs in its own arm.

    A mean over an arm is pulled towards each of its clusters: a cluster with share h of its
    arm has contribution (1 - h) times that of its error. V = sum_g (psi_g / (1 - h_g)^power)^2.

    Parameters
    ----------
    contributions : array, shape (G,), of one estimate
    labels : array, shape (G,), arm of each cluster: its cohort, or ``never``
    sizes : array, shape (G,), weight of each cluster in its arm
    never : label of the never-treated arm
    power : 1/2 for CR2, unbiased when clusters' errors have one variance; 1 for the deviations
        of leave-one-cluster-out estimates (CR3)

    Raises
    ------
    InferenceError : an arm of one cluster, whose contribution is zero whatever its error

    Notes
    -----
    With equal sizes these are CR2 and CR3 of the regression on arm indicators. Degrees of
    freedom are Satterthwaite's for errors of one variance, treated arms weighing by size.

    Source
    ------
    Bell and McCaffrey (2002); Imbens and Kolesar (2016), Review of Economics and Statistics
    98(4), section III.
    """
    arms, codes = np.unique(labels, return_inverse=True)
    mass = np.bincount(codes, sizes)
    leverage = sizes / mass[codes]
    alone = np.flatnonzero(1 - leverage < _FULL_LEVERAGE)
    if len(alone):
        raise InferenceError(
            f"Cluster number {listing(alone + 1)} of {len(labels)} is alone in its arm, so its "
            "contribution is zero whatever its error and a clustered standard error leaves it "
            "out. Use the permutation or Ferman-Pinto test, or average over larger cohorts."
        )
    corrected = contributions / (1 - leverage) ** power
    treated = mass[arms != never].sum()
    trace = square = 0.0
    for code, arm in enumerate(arms):
        h = leverage[codes == code]
        share = 1.0 if arm == never else mass[code] / treated
        rows = share * (h / (1 - h) ** power)[:, None] * (np.eye(len(h)) - h)
        form = rows @ rows.T
        trace += float(np.trace(form))
        square += float(np.sum(form**2))
    return ArmVariance(float(np.sum(corrected**2)), trace**2 / square)


@dataclass(frozen=True, eq=False)
class PairsBootstrap:
    """Hold draws of contrasts from resampled clusters.

    Attributes
    ----------
    draws : array, shape (B, A); NaN where the draw does not identify the coefficients
    failed : number of such draws
    """

    draws: Floats
    failed: int

    def std_errors(self) -> Floats:
        """Return the standard deviation of each contrast over the draws that exist, (A,)."""
        return np.asarray(np.nanstd(self.draws, axis=0, ddof=1))

    def intervals(self, level: float = 0.95) -> Floats:
        """Return percentile intervals, shape (A, 2)."""
        tails = [(1 - level) / 2, (1 + level) / 2]
        return np.asarray(np.nanquantile(self.draws, tails, axis=0).T)


def pairs_cluster_bootstrap(
    gram: Floats, cross: Floats, contrasts: Floats, *, draws: int = 999, seed: int = 0
) -> PairsBootstrap:
    """Resample whole clusters with replacement and re-estimate from their blocks.

    Parameters
    ----------
    gram, cross : arrays, shape (G, k, k) and (G, k)
    contrasts : array, shape (A, k)
    draws, seed : number and seed of the resamples

    Raises
    ------
    InferenceError : more than one draw in twenty leaves coefficients unidentified, which
        happens when few clusters are treated

    Notes
    -----
    Under-covers with few or unequal clusters; the wild cluster bootstrap is preferred.

    Source
    ------
    Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90(3), section III.
    """
    n_clusters, k = cross.shape
    counts = np.random.default_rng(seed).multinomial(
        n_clusters, np.full(n_clusters, 1 / n_clusters), size=draws
    )
    total = (counts @ gram.reshape(n_clusters, -1)).reshape(draws, k, k)
    scale = np.sqrt(np.diagonal(gram.sum(axis=0)))
    scaled = total / np.outer(scale, scale)
    usable = np.linalg.eigvalsh(scaled)[:, 0] > 1e-10
    failed = int(draws - usable.sum())
    if failed > draws / 20:
        raise InferenceError(
            f"{failed:,} of {draws:,} resamples leave coefficients unidentified, because few "
            "clusters carry the treatment; dropping them would bias the spread. Use the wild "
            "cluster bootstrap or the permutation test."
        )
    result = np.full((draws, len(contrasts)), np.nan)
    right = (counts[usable] @ cross / scale)[:, :, None]
    result[usable] = np.linalg.solve(scaled[usable], right)[:, :, 0] / scale @ contrasts.T
    return PairsBootstrap(result, failed)

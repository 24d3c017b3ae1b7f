"""What tests of difference-in-differences estimators share: designs and dense oracles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from impact import Design, Panel, simulate


def design(frame, *, outcome="outcome", cohort="cohort", unit="unit", time="time", **settings):
    """Make a design of a frame with the usual column names."""
    return Design(Panel(frame, unit=unit, time=time), outcome=outcome, cohort=cohort, **settings)


def staggered(seed=1, *, n_units=60, periods=6, cohorts=(3, 5), missing=0.0, **settings):
    """Simulate a staggered panel with a weight, clusters and a covariate that moves in time."""
    settings = {"n_clusters": 20, "cluster_noise": 0.4, **settings}
    frame = simulate.staggered_panel(
        seed, n_units=n_units, periods=periods, cohorts=cohorts, missing=missing,
        effect=lambda e, g: 1 + 0.3 * e - 0.2 * (g - 3), **settings,
    ).frame  # fmt: skip
    rng = np.random.default_rng(seed + 100)
    return frame.assign(
        w=0.5 + frame["unit"] % 4,
        z=rng.normal(size=len(frame)) + 0.3 * frame["time"] + 0.1 * frame["unit"],
    )


def two_by_two() -> pd.DataFrame:
    """Two treated units whose outcome rises by 5 and 7, three others by 1, 2 and 3."""
    rows = [(1, 10, 15, 1), (2, 20, 27, 1), (3, 5, 6, np.nan), (4, 5, 7, np.nan), (5, 5, 8, np.nan)]
    return pd.DataFrame(
        [
            {"unit": u, "time": t, "outcome": y, "cohort": g}
            for u, before, after, g in rows
            for t, y in ((0, before), (1, after))
        ]
    )


def dummies(frame, *columns):
    """Return dense indicators of the columns' levels."""
    return np.concatenate([pd.get_dummies(frame[c]).to_numpy(dtype=float) for c in columns], axis=1)


def cell_columns(frame, cells):
    """Return dense indicators of the cells of a result, (rows, cells)."""
    return np.stack(
        [
            ((frame["cohort"] == c.cohort) & (frame["time"] == c.time)).to_numpy(dtype=float)
            for c in cells.itertuples()
        ],
        axis=1,
    )


def dense_regression(y, X, weights, clusters, wanted, n_parameters):
    """Estimate by dense weighted least squares; return estimates and clustered covariance."""
    w = np.ones(len(y)) if weights is None else weights
    inverse = np.linalg.pinv((X * w[:, None]).T @ X)
    beta = inverse @ (X.T @ (w * y))
    scores = pd.DataFrame(X * (w * (y - X @ beta))[:, None]).groupby(clusters).sum().to_numpy()
    psi = scores @ inverse[:, wanted]
    n, n_clusters = len(y), len(scores)
    factor = n_clusters / (n_clusters - 1) * (n - 1) / (n - n_parameters)
    return beta[wanted], factor * psi.T @ psi


def dense_imputation(frame, cells, *, covariates=(), weights=None, clusters="unit",
                     squared=True, leave_one_out=False):  # fmt: skip
    """Impute by explicit weights v on all rows; return cell means and their contributions."""
    frame = frame.reset_index(drop=True)
    w = np.ones(len(frame)) if weights is None else frame[weights].to_numpy(dtype=float)
    X = dummies(frame, "unit", "time")
    if covariates:
        X = np.concatenate((X, frame[list(covariates)].to_numpy()), axis=1)
    y = frame["outcome"].to_numpy()
    untreated = ~(frame["time"] >= frame["cohort"]).to_numpy()
    X0, w0 = X[untreated], w[untreated]
    inverse = np.linalg.pinv((X0 * w0[:, None]).T @ X0)
    left = y - X @ (inverse @ (X0.T @ (w0 * y[untreated])))
    codes, _ = pd.factorize(frame[clusters], sort=True)
    estimates, psi = [], []
    for member in cell_columns(frame, cells).T.astype(bool):
        v1 = np.where(member, w, 0.0) / w[member].sum()
        v = v1.copy()
        v[untreated] -= w0 * (X0 @ (inverse @ (X.T @ v1)))
        mean = v1 @ left
        centre = (v1**2 @ left) / (v1**2).sum() if squared else mean
        own = np.bincount(codes, v1 * np.where(member, left - centre, 0.0))
        if leave_one_out:
            share = np.bincount(codes, v1**2) / (v1**2).sum()
            own = own / (1 - share)
        first = np.where(untreated, (v - v1) * left, 0.0)
        estimates.append(mean)
        psi.append(own + np.bincount(codes, first))
    return np.array(estimates), np.stack(psi, axis=1)


def reweighted_errors(fit, frame, *, clusters="unit", weights="w", step=1e-4):
    """Return standard errors from how estimates move with the weight of one cluster's units.

    An estimate that treats all that units bring as sampled has influence values equal to its
    derivatives by their weights (the infinitesimal jackknife). ``fit`` takes a frame.
    """
    derivatives = []
    for cluster in frame[clusters].unique():
        own = frame[clusters] == cluster
        up, down = (
            fit(frame.assign(**{weights: frame[weights] * (1 + sign * step * own)})).estimates
            for sign in (1, -1)
        )
        derivatives.append((up - down) / (2 * step))
    return np.sqrt(np.square(derivatives).sum(axis=0))


def waves(gaps=False) -> pd.DataFrame:
    """Simulate staggered adoption without random numbers, for numbers had from other programs."""
    i = np.arange(240)
    cohort = np.choose((i // 3) % 4, [0, 0, 3, 4])
    parts = []
    for t in range(1, 6):
        effect = ((cohort > 0) & (t >= cohort)) * (1 + 0.5 * (t - cohort) + 0.2 * (cohort == 4))
        y = np.cos(0.9 * i) + 0.3 * t * (cohort > 0) + effect + np.sin(3.1 * i + 5.3 * t) * 0.8
        part = {"unit": i, "time": t, "cohort": cohort, "x": np.sin(i * 1.7 + t), "outcome": y}
        parts.append(pd.DataFrame(part))
    frame = pd.concat(parts).sort_values(["unit", "time"], ignore_index=True)
    missing = (frame["unit"] * 7 + frame["time"] * 3) % 11 == 0
    return frame[~missing] if gaps else frame


def by_hand() -> pd.DataFrame:
    """One unit rises from 0 to 2 in period 3 and stays; one falls from 1 to 0 in period 2."""
    paths = {
        1: ([0, 0, 2, 2], [1, 2, 9, 12]),
        2: ([0, 0, 0, 0], [3, 3, 4, 6]),
        3: ([0, 0, 0, 0], [5, 6, 9, 9]),
        4: ([1, 0, 0, 0], [8, 5, 5, 5]),
        5: ([1, 1, 1, 1], [7, 8, 8, 9]),
    }
    return pd.DataFrame(
        [
            {"unit": u, "time": t + 1, "dose": d[t], "outcome": float(y[t])}
            for u, (d, y) in paths.items()
            for t in range(4)
        ]
    )


def switching(step: int = 1, *, gaps: bool = True) -> pd.DataFrame:
    """Treatments in three steps that change at most twice, with rows absent."""
    rows = []
    for i in range(96):
        start, first, back = i % 2, 2 + (i // 2) % 6, 5 + (i // 4) % 5
        for t in range(1, 8):
            dose = start if t < first else (start + 1 + i % 3) % 3 if t < back else start
            x = np.cos(1.3 * i + 2.1 * t)
            y = np.cos(0.9 * i) + 0.2 * t + 0.7 * dose + 0.4 * x + np.sin(3.1 * i + 5.3 * t)
            if not gaps or (5 * i + 3 * t) % 17:
                rows.append((i, step * t, dose, x, y, 1.0 + i % 4, i // 3))
    return pd.DataFrame(rows, columns=["unit", "time", "dose", "x", "outcome", "w", "place"])

"""Cluster-robust covariances and wild bootstraps equal refits by row in awkward random designs.

Clusters of one unit, wholly treated ones, covariates that others explain, gaps, weights by row.
"""

import numpy as np
import pandas as pd
import pytest
import scipy.linalg

from impact import Design, Panel, TwoWayFixedEffects
from impact.inference.dispatch import infer
from impact.inference.wild_draws import WildDraws

CLOSE = 1e-8  # refits invert (I - H_g), whose smallest eigenvalues are near 1e-4
DRAWS = 99
KINDS = (
    "plain",
    "lone units",
    "wholly treated",
    "collinear gaps",
    "lone units gaps",
    "weights gaps",
    "weights lone units wholly treated collinear gaps",
)
METHODS = ("wild", "wild_unrestricted", "wild_subcluster", "wild_two_way")


def draw_frame(kind, seed):
    rng = np.random.default_rng([seed, len(kind)])
    n_units, n_years = rng.integers(12, 20), rng.integers(4, 7)
    unit, year = (a.ravel() for a in np.indices((n_units, n_years)))
    place = rng.integers(0, rng.integers(5, 8), n_units)
    treated = rng.random(n_units) < 0.5
    treated[:2] = True, False
    if "lone units" in kind:
        place[:2] = 90, 91
    if "wholly treated" in kind:
        treated[place == place[3]] = True
    onset = rng.integers(1, n_years, n_units)
    frame = pd.DataFrame({"unit": unit, "year": year, "place": place[unit]})
    frame["d"] = (treated[unit] & (year >= onset[unit])).astype(float)
    frame[["x", "copy"]] = rng.normal(size=(len(frame), 2))
    if "collinear" in kind:
        frame["copy"] = 2 * frame["x"] - frame["d"] + 1
    frame["w"] = rng.uniform(0.5, 2, len(frame)) if "weights" in kind else 1.0
    frame["y"] = rng.normal(size=len(frame)) + rng.normal(size=99)[place[unit]] * (0.5 + frame["d"])
    return frame[rng.random(len(frame)) > 0.2 * ("gaps" in kind)].reset_index(drop=True)


def fit(frame, kind, clusters="place", **settings):
    panel = Panel(frame, unit="unit", time="year")
    weights = "w" if "weights" in kind else None
    design = Design(
        panel, outcome="y", treated="d", covariates=["x", "copy"], clusters=clusters,
        weights=weights,
    )  # fmt: skip
    return TwoWayFixedEffects(accept_forbidden_comparisons=True, **settings).fit(design)


def codes_of(*columns):
    return np.unique(np.stack(columns), axis=1, return_inverse=True)[1].ravel()


def columns_of(frame):
    """Treatment and covariates that are not redundant, then a basis of both kinds of dummies."""
    levels = [codes_of(frame[name]) for name in ("unit", "year")]
    dummies = np.column_stack([np.eye(codes.max() + 1)[codes] for codes in levels])
    basis = scipy.linalg.orth(dummies, rcond=1e-10)
    kept = []
    for name in ("d", "x", "copy"):
        column = frame[name].to_numpy()
        others = np.column_stack([basis, *kept])
        left = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
        if np.linalg.norm(left) > 1e-8 * np.linalg.norm(column):
            kept.append(column)
    return np.column_stack([*kept, basis])


def refitted_errors(frame):
    """Standard errors of the first coefficient: CR2 (without weights), CR3, jackknife."""
    x, y, w = columns_of(frame), frame["y"].to_numpy(), frame["w"].to_numpy()
    bread = np.linalg.inv((x.T * w) @ x)
    beta = bread @ (x.T @ (w * y))
    found = {"CR2": 0.0, "CR3": 0.0, "jackknife": 0.0}
    places = np.unique(frame["place"])
    for place in places:
        i = (frame["place"] == place).to_numpy()
        left = np.eye(i.sum()) - x[i] @ bread @ (x[i].T * w[i])
        residuals, loading = (y - x @ beta)[i], bread[0] @ (x[i].T * w[i])
        found["CR3"] += (loading @ np.linalg.pinv(left, rcond=1e-10) @ residuals) ** 2
        values, vectors = np.linalg.eigh((left + left.T) / 2)
        half = np.where(values > 1e-10, values, np.inf) ** -0.5
        found["CR2"] += (loading @ (vectors * half) @ vectors.T @ residuals) ** 2
        root = np.sqrt(w[~i])
        without = np.linalg.lstsq(x[~i] * root[:, None], y[~i] * root, rcond=1e-11)[0]
        found["jackknife"] += (1 - 1 / len(places)) * (without[0] - beta[0]) ** 2
    return {name: np.sqrt(square) for name, square in found.items()}


def refitted_p_value(frame, method):
    """P-value of no effect from a refit of every draw by row."""
    x, y, w = columns_of(frame), frame["y"].to_numpy(), frame["w"].to_numpy()
    place, unit, year = (codes_of(frame[name]) for name in ("place", "unit", "year"))
    bread = np.linalg.inv((x.T * w) @ x)
    loading = (bread @ (x.T * w))[0]

    def statistic(outcome):
        beta = bread @ (x.T @ (w * outcome))
        u, variance = loading * (outcome - x @ beta), 0.0
        signed = [(place, 1)]
        if method == "wild_two_way":
            signed += [(year, 1), (codes_of(place, year), -1)]
        for codes, sign in signed:
            variance += sign * np.sum(np.bincount(codes, u) ** 2)
        return beta[0], variance

    restricted = method != "wild_unrestricted"
    from_null = x[:, 1:] if restricted else x
    root = np.sqrt(w)
    mean = from_null @ np.linalg.lstsq(from_null * root[:, None], y * root, rcond=None)[0]
    estimate, own = statistic(y)
    draw = unit if method == "wild_subcluster" else place
    source = WildDraws(draw.max() + 1, "auto", DRAWS, 0)
    v, more = np.concatenate(list(source.blocks()), axis=1), 0
    for column in v.T:
        drawn, variance = statistic(mean + column[draw] * (y - mean))
        gap = drawn if restricted else drawn - estimate
        more += gap**2 * own >= estimate**2 * variance * (1 - 1e-9)
    return more / v.shape[1] if source.enumerated else (1 + more) / (1 + v.shape[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_covariances_equal_refits(kind, seed):
    frame = draw_frame(kind, seed)
    wanted = refitted_errors(frame)
    names = ("CR3", "jackknife") if "weights" in kind else tuple(wanted)
    for name in names:
        assert fit(frame, kind, covariance=name).std_errors[0] == pytest.approx(
            wanted[name], rel=CLOSE
        ), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_bootstraps_equal_refits(kind, method):
    frame = draw_frame(kind, 2)
    clusters = ["place", "year"] if method == "wild_two_way" else "place"
    evidence = fit(frame, kind, clusters).evidence()
    found = infer(evidence, method, draws=DRAWS, level=None).p_value
    assert found == refitted_p_value(frame, method)

"""Two cross-sections: DRDID's improved form and Abadie's weights, contributions, coverage."""

import numpy as np
import pytest
from did import waves

from impact import Design, DoublyRobustDiD, Panel, simulate
from impact.errors import EstimationError
from impact.kernels.sections import abadie_sections, improved_sections

# moderndid 0.4.1's tilted propensity stops at 1e-10.
TILTED = 1e-8
EXACT = 1e-10

# moderndid 0.4.1: drdid_imp_local_rc (R DRDID's drdid_imp_rc) and ipw_did_rc on ``drawn``, and
# ipw_did_rc without covariates; estimate and standard error.
THEIRS = {
    ("improved", None): (1.5342870576959409, 0.22313610106867016),
    ("improved", "w"): (1.4544762663420103, 0.24453140533171538),
    ("horvitz_thompson", None): (1.5347772173666636, 0.3500222891338554),
    ("none", None): (1.534871972863068, 0.3500346267949446),
}


def drawn():
    """Rows of two waves, each of another unit, one fifth of them lost."""
    frame = waves().query("time in (3, 4) and cohort != 3")
    frame = frame[(frame["unit"] * 7 + frame["time"] * 3) % 5 > 0]
    return frame.assign(unit=np.arange(len(frame)), w=lambda f: 1.0 + f["unit"] % 3)


def fit(frame, method, **settings):
    panel = Panel(frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort", never_treated=0, **settings)
    return DoublyRobustDiD(method=method).fit(design)


@pytest.mark.parametrize(("method", "weights"), THEIRS)
def test_equals_drdid(method, weights):
    covariates = () if method == "none" else "x"
    own = "horvitz_thompson" if method == "none" else method
    result = fit(drawn(), own, covariates=covariates, weights=weights)
    estimate, std_error = THEIRS[method, weights]
    assert result.estimates[0] == pytest.approx(estimate, rel=TILTED)
    assert result.std_errors[0] == pytest.approx(std_error, rel=TILTED)


def arms(n=300):
    """Rows whose arms are not sampled alike, with neither model right."""
    rng = np.random.default_rng(4)
    X = np.column_stack((np.ones(n), rng.normal(size=n), rng.normal(size=n) ** 2))
    treated = rng.random(n) < 1 / (1 + np.exp(-0.5 * X[:, 1] + 0.2 * X[:, 2]))
    after, weights = rng.random(n) < 0.4, rng.uniform(0.5, 2, n)
    y = X[:, 1] ** 3 + after * X[:, 1] ** 2 * (1 + treated) + rng.normal(size=n)
    return y, treated, after, X, weights


def test_contributions_of_abadies_weights_are_the_derivative_by_a_rows_weight():
    """With weights DRDID takes the sections' shares as if rows counted alike; we do not."""
    *rows, weights = arms()
    whole = abadie_sections(*rows, weights)
    for i in range(0, len(weights), 23):
        more, less = weights.copy(), weights.copy()
        more[i] *= 1 + 1e-4
        less[i] *= 1 - 1e-4
        slope = (
            abadie_sections(*rows, more).estimates[0] - abadie_sections(*rows, less).estimates[0]
        ) / 2e-4
        assert slope == pytest.approx(whole.psi[i, 0], rel=1e-5, abs=1e-9)


def test_the_improved_form_is_the_mean_difference_of_four_lines_for_the_treated():
    y, treated, after, X, weights = arms()
    found = improved_sections(y, treated, after, X, weights)
    np.testing.assert_allclose(found.psi.sum(), 0.0, atol=EXACT)
    moved = improved_sections(y + X @ [3.0, -2.0, 1.0], treated, after, X, weights)
    np.testing.assert_allclose(moved.estimates, found.estimates, rtol=1e-9)
    np.testing.assert_allclose(moved.psi, found.psi, rtol=1e-6, atol=1e-9)


def test_covariates_that_repeat_others_are_left_out_and_counted():
    y, treated, after, X, weights = arms()
    twice = np.column_stack((X, 2 * X[:, 1] - 1))
    for compare in (improved_sections, abadie_sections):
        alone, more = (compare(y, treated, after, x, weights) for x in (X, twice))
        np.testing.assert_allclose(more.estimates, alone.estimates, rtol=1e-8)
        assert more.n_redundant == 1


def test_refusals():
    frame = drawn()
    perfect = frame.assign(z=frame["cohort"] + 0.001 * frame["unit"])
    for method in ("improved", "horvitz_thompson"):
        with pytest.raises(EstimationError, match="covariates separate"):
            fit(perfect, method, covariates="z")
    early = frame["cohort"].eq(4) & frame["time"].eq(3)
    few = frame[~early | (early & (early.cumsum() == 1))]
    with pytest.raises(EstimationError, match="too few treated rows for 2 coefficients"):
        fit(few, "improved", covariates="x")
    alike = frame["cohort"].ne(4) & frame["time"].eq(4)
    z = np.where(alike, frame["x"], np.sin(7.0 * frame["unit"]))
    with pytest.raises(EstimationError, match="collinear among comparison units"):
        fit(frame.assign(z=z), "improved", covariates=["x", "z"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["improved", "horvitz_thompson"])
def test_intervals_cover_neither_too_seldom_nor_too_often(method):
    covered, draws = 0, 400
    for seed in range(draws):
        frame = simulate.staggered_panel(
            seed, n_units=800, periods=2, cohorts=(2,), assignment="random", effect=1.5,
            covariate_shift=0.4, covariate_trend=0.4,
        ).frame  # fmt: skip
        frame = frame[frame["time"] == 1 + frame["unit"] % 2].fillna({"cohort": 0})
        result = fit(frame, method, covariates="x")
        covered += abs(result.estimates[0] - 1.5) <= 1.96 * result.std_errors[0]
    assert 0.92 <= covered / draws <= 0.98

"""Oster and Cinelli-Hazlett against robomit, sensemakr and simulated confounders."""

import numpy as np
import pytest

from impact.errors import DesignError
from impact.estimators import CallawaySantAnna
from impact.kernels.absorb import absorb
from impact.sensitivity import cinelli_hazlett, oster
from impact.sensitivity.cinelli_hazlett import confounding
from impact.sensitivity.oster import proportional_selection

CLOSED_FORM = 1e-9
ROUNDED = 6e-7  # robomit rounds to six decimals
COVARIATES = ["age", "farmer_dar", "herder_dar", "pastvoted", "hhsize_darfur", "female"]


def centred(values):
    values = np.asarray(values, dtype=float)
    return values - values.mean(axis=0)


def test_darfur_equals_robomit(reference_case):
    case, frame = reference_case("oster_darfur")
    found = proportional_selection(
        centred(frame["peacefactor"]), centred(frame["directlyharmed"]), centred(frame[COVARIATES])
    )
    beta, delta = case["reference"]["beta_star"], case["reference"]["delta_star"]
    np.testing.assert_allclose(found.corrected, beta["beta*"], atol=ROUNDED)
    np.testing.assert_allclose(found.other_roots[0], beta["Alternative_Solution_1"], atol=1e-5)
    np.testing.assert_allclose(found.break_even, delta["delta*"], atol=ROUNDED)
    np.testing.assert_allclose(found.short, beta["Uncontrolled_Coefficient"], rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.long, beta["Controlled_Coefficient"], rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.short_r2, beta["Uncontrolled_R-square"], rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.long_r2, beta["Controlled_R-square"], rtol=CLOSED_FORM)


def test_break_even_proportion_brings_the_coefficient_to_the_null():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(400, 2))
    d = w @ [0.4, -0.3] + rng.normal(size=400)
    y = 0.5 * d + w @ [0.5, 0.2] + rng.normal(size=400)
    found = proportional_selection(centred(y), centred(d), centred(w), null=0.2)
    again = proportional_selection(
        centred(y), centred(d), centred(w), proportion=found.break_even, null=0.2
    )
    solutions = np.array([again.corrected, *again.other_roots])
    assert np.abs(solutions - 0.2).min() < 1e-8


@pytest.mark.parametrize("seed", range(8))
def test_both_answers_equal_the_published_ratio(seed):
    """Oster's proportion at a coefficient: one at the corrected, the break-even one at zero."""
    rng = np.random.default_rng(seed)
    w = centred(rng.normal(size=(300, 2)))
    d = centred(w @ rng.normal(size=2) + rng.normal(size=300))
    y = centred(rng.normal() * d + w @ rng.normal(size=2) + rng.normal(size=300))
    found = proportional_selection(y, d, w)
    tau = np.var(d - w @ np.linalg.lstsq(w, d, rcond=None)[0])
    var_y, var_d, shift = np.var(y), np.var(d), found.short - found.long
    explained = (found.long_r2 - found.short_r2) * var_y
    left = (found.most_r2 - found.long_r2) * var_y

    def proportion(beta):
        gap = found.long - beta
        top = gap * (explained * tau + var_d * tau * shift**2)
        top += 2 * gap**2 * tau * shift * var_d + gap**3 * (tau * var_d - tau**2)
        below = left * shift * var_d + gap * left * (var_d - tau)
        return top / (below + gap**2 * tau * shift * var_d + gap**3 * (tau * var_d - tau**2))

    assert proportion(found.corrected) == pytest.approx(1.0, rel=1e-6)
    assert proportion(0.0) == pytest.approx(found.break_even, rel=1e-8)


def test_darfur_equals_sensemakr(reference_case):
    case, frame = reference_case("sensemakr_darfur")
    village = np.unique(frame["village"], return_inverse=True)[1]
    absorber = absorb([village])
    swept = absorber.sweep(
        frame[["peacefactor", "directlyharmed", *COVARIATES]].to_numpy(dtype=float).T
    )
    df = len(frame) - absorber.rank - 7
    found = confounding(swept[0], swept[1], swept[2:].T, df, names=COVARIATES)
    stats = case["reference"]["stats"]
    np.testing.assert_allclose(
        [found.estimate, found.std_error, found.df, found.partial_r2,
         found.robustness_value, found.robustness_value_level],
        [stats[k] for k in ("estimate", "se", "dof", "r2yd.x", "rv_q", "rv_qa")],
        rtol=CLOSED_FORM,
    )  # fmt: skip
    ours = found.benchmarks[found.benchmarks["benchmark"] == "female"]
    for (_, row), bound in zip(ours.iterrows(), case["reference"]["bounds"], strict=True):
        np.testing.assert_allclose(
            row[["r2_treatment", "r2_outcome", "estimate", "std_error", "statistic", "conf_low",
                 "conf_high"]].to_numpy(dtype=float),
            [bound[k] for k in ("r2dz.x", "r2yz.dx", "adjusted_estimate", "adjusted_se",
                                "adjusted_t", "adjusted_lower_CI", "adjusted_upper_CI")],
            rtol=1e-8,
        )  # fmt: skip


def test_adjustment_recovers_the_estimate_with_the_confounder_included():
    """The bias formula is exact for the confounder's own partial R squared."""
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 300, 1))
    d = x[:, 0] + 0.5 * z[:, 0] + rng.normal(size=300)
    y = d + x[:, 0] + 0.8 * z[:, 0] + rng.normal(size=300)
    short = confounding(y, d, x, 300 - 2)
    full = confounding(y, d, np.hstack([x, z]), 300 - 3)

    def rss(target, columns):
        return np.square(target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]).sum()

    r2_d = 1 - rss(d, np.hstack([x, z])) / rss(d, x)
    with_d = np.column_stack([d, x])
    r2_y = 1 - rss(y, np.hstack([with_d, z])) / rss(y, with_d)
    bias = short.std_error * np.sqrt(short.df * r2_y * r2_d / (1 - r2_d))
    np.testing.assert_allclose(short.estimate - bias, full.estimate, rtol=CLOSED_FORM)


def test_impossible_multiples_are_named():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(100, 1))
    d = 3 * x[:, 0] + rng.normal(size=100)
    found = confounding(d + x[:, 0] + rng.normal(size=100), d, x, 98, names=["x"])
    assert found.benchmarks["estimate"].isna().all()
    assert "more than everything" in found.benchmarks["note"].iloc[0]


@pytest.fixture(scope="module")
def with_covariate(make_frame, design_of):
    frame = make_frame()
    frame["y"] += 0.5 * frame["x"]
    return CallawaySantAnna().fit(design_of(frame, covariates="x"))


def test_findings_of_a_design(with_covariate):
    selection = oster(with_covariate)
    assert selection.statistic > 0
    assert selection.table["r2"].is_monotonic_increasing
    strength = cinelli_hazlett(with_covariate, benchmarks=["x"], multiples=[1, 2])
    assert 0 < strength.values["robustness_value_level"] < strength.statistic < 1
    assert len(strength.table) == 2
    assert strength.figure().get_xlabel().startswith("Partial")
    assert selection.figure().get_xlabel() == "Estimate"


def test_a_negative_proportion_is_put_in_words(make_frame, design_of):
    """Treated rows have more of a covariate that lowers the outcome, so it hid some effect."""
    frame = make_frame()
    frame["x"] += 0.5 * frame["treated"]
    frame["y"] -= 0.5 * frame["x"]
    finding = oster(CallawaySantAnna().fit(design_of(frame, covariates="x")))
    assert finding.statistic < 0
    assert "pull the other way than x" in finding.sentence


def test_designs_without_varying_covariates_are_refused(fitted, make_frame, design_of):
    with pytest.raises(DesignError, match="nothing to measure a confounder by"):
        oster(fitted)
    frame = make_frame()
    frame["size"] = frame["firm"] % 7
    fixed = CallawaySantAnna().fit(design_of(frame, covariates="size"))
    with pytest.raises(DesignError, match="size do not vary within units"):
        cinelli_hazlett(fixed)


def test_unknown_benchmarks_and_r2_out_of_range_are_refused(with_covariate):
    with pytest.raises(DesignError, match="benchmarks may be x"):
        cinelli_hazlett(with_covariate, benchmarks=["z"])
    with pytest.raises(DesignError, match="most_r2 must lie above"):
        oster(with_covariate, most_r2=0.001)

"""Power: textbook formulas, the law of placebos, planning, refusals."""

import numpy as np
import pytest
from scipy import stats

from impact.errors import InferenceError
from impact.inference import power

CLOSED_FORM = 1e-6  # digits the reference case states
R_ROOT = 1e-4  # power.t.test stops its root search at 1.2e-4


def test_reference_formulas(reference_case):
    reference = reference_case("mde_formulas")[0]["reference"]
    mde = power.minimum_detectable_effect
    half, thirty = (
        power.individual_std_error(500),
        power.individual_std_error(500, share=0.3, r_squared=0.4),
    )
    clusters = power.cluster_std_error(40, 25, icc=0.05)
    found = {
        "individual_n500_P50": mde(half),
        "individual_n500_P30_R2_40": mde(thirty),
        "n_per_arm_delta03_power90": power.t_test_sample_size(0.3, power=0.9),
        "unequal_60_140_d": power.t_test_effect(60, 140),
        "two_prop_power_h_n200": power.proportions_power(0.5, 0.4, 200),
        "cluster_J40_m25_icc05_P50_z": mde(clusters),
        "cluster_J40_m25_icc05_P50_t": mde(clusters, df=38),
    }
    for name, value in found.items():
        assert float(value) == pytest.approx(reference[name], rel=CLOSED_FORM), name
    delta = power.t_test_effect(100, 100)
    assert delta == pytest.approx(reference["power_t_test_n100_per_arm_delta"], rel=R_ROOT)
    for m, r, rho, name in ((1, 1, 0.5, "m1_r1_rho05"), (2, 3, 0.25, "m2_r3_rho025")):
        ratios, expected = power.panel_variance(m, r, rho), reference[f"mckenzie_{name}"]
        assert (ratios.post, ratios.ancova, ratios.difference) == pytest.approx(
            (expected["post"], expected["cc"], expected["did"]), rel=CLOSED_FORM
        )


def test_t_power_equals_the_noncentral_t():
    assert power.t_test_power(0.4, 20, 30) == pytest.approx(
        stats.nct.sf(stats.t.ppf(0.975, 48), 48, 0.4 / np.sqrt(1 / 20 + 1 / 30)), rel=1e-8
    )


def test_power_curve_at_zero_is_the_size_and_at_the_mde_the_power():
    for df in (None, 9.0):
        curve = power.power_curve(np.array([0.0, -1.0, 1.0]), 0.5, df=df)
        assert curve[0] == pytest.approx(0.05, rel=1e-8)
        assert curve[1] == pytest.approx(curve[2])
    mde = power.minimum_detectable_effect(0.5, power=0.8)
    assert power.power_curve(mde, 0.5) == pytest.approx(0.8, abs=1e-5)


def test_clusters_needed_restores_the_power():
    count = power.clusters_needed(0.3, 0.2, 34)
    enough = power.minimum_detectable_effect(0.2 * np.sqrt(34 / count), df=count - 2)
    short = power.minimum_detectable_effect(0.2 * np.sqrt(34 / (count - 1)), df=count - 3)
    assert enough <= 0.3 < short
    assert power.clusters_needed(1e9, 0.2, 34) == 3


def test_placebo_power_of_normal_placebos_is_the_formula():
    placebos = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000) * 0.7
    effects = np.array([0.0, 1.0, 2.0])
    simulated = power.placebo_power(placebos, effects)
    np.testing.assert_allclose(simulated, power.power_curve(effects, 0.7), atol=1e-3)
    simulated = power.placebo_minimum_detectable_effect(placebos)
    assert simulated == pytest.approx(float(power.minimum_detectable_effect(0.7)), rel=1e-3)


def test_skewed_placebos_take_the_harder_direction():
    placebos = np.random.default_rng(0).exponential(size=5000) - 1
    mde = power.placebo_minimum_detectable_effect(placebos)
    assert power.placebo_power(placebos, np.array([mde, -mde])).min() == pytest.approx(
        0.8, abs=0.01
    )


def test_refusals():
    with pytest.raises(InferenceError, match=r"power is a share.*it was 80"):
        power.minimum_detectable_effect(1.0, power=80)
    with pytest.raises(InferenceError, match=r"19 placebo estimates .* at least 20"):
        power.placebo_power(np.zeros(19), np.zeros(1))
    with pytest.raises(InferenceError, match=r"effect of exactly zero"):
        power.clusters_needed(0.0, 1.0, 34)
    with pytest.raises(InferenceError, match=r"one round before and after; it was given 0 and 3"):
        power.panel_variance(0, 3, 0.5)


@pytest.mark.parametrize("df", [3, 60, 500, None])
def test_power_of_effects_far_beyond_the_critical_value_is_one(df):
    far = power.power_curve(np.array([5.0, 30.0, 1e3]), 1.0, df=df)
    assert (np.diff(far) >= -1e-12).all()
    assert far[1:] == pytest.approx([1.0, 1.0], abs=1e-6)

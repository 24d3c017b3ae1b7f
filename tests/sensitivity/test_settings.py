"""Settings that cannot be meant are refused by name, whatever the analysis."""

import numpy as np
import pytest

from impact import sensitivity
from impact.errors import DesignError, InferenceError
from impact.estimators import CallawaySantAnna, FixedEffects
from impact.sensitivity import CHECKS, battery


@pytest.fixture(scope="module")
def rich(make_frame, design_of):
    """A result to which nearly every analysis applies."""
    frame = make_frame(n_firms=5)
    frame["exposed"] = np.where(frame["firm"] % 9 == 2, 2014.0, np.nan)
    frame = frame[~((frame["year"] == 2017) & (frame["firm"] % 7 == 0))]
    return CallawaySantAnna().fit(design_of(frame, covariates="x"))


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("honest", {"bounds": []}, r"bounds takes one or more numbers; it was \[\]"),
        ("honest", {"bounds": ["a"]}, r"bounds takes one or more numbers; it was \['a'\]"),
        ("pretrends", {"power": []}, "power takes one or more numbers"),
        ("placebo_in_time", {"leads": ["a"]}, "leads takes one or more numbers"),
        (
            "placebo_in_time",
            {"leads": [1.5]},
            r"leads takes whole numbers, 1 or more; .* \[1.5",
        ),
        ("placebo_in_space", {"draws": 0}, "draws takes whole numbers, 1 or more"),
        ("anticipation", {"periods": [-1]}, "periods takes whole numbers, 0 or more"),
        ("specification_curve", {"draws": -1}, "draws takes whole numbers, 0 or more"),
        ("balance", {"draws": 0}, "draws takes whole numbers, 1 or more"),
        (
            "spillover",
            {"rings": ["a"], "latitude": "x", "longitude": "x"},
            "rings takes one or more",
        ),
        ("cinelli_hazlett", {"q": -1.0}, "q takes one or more numbers above 0; it was"),
        ("cinelli_hazlett", {"multiples": []}, "multiples takes one or more numbers above 0"),
    ],
)
def test_settings_that_are_no_numbers_of_their_kind(rich, name, settings, words):
    with pytest.raises(DesignError, match=words):
        getattr(sensitivity, name)(rich, **settings)


@pytest.mark.parametrize(
    "name",
    ["honest", "pretrends", "placebo_in_time", "placebo_in_space", "anticipation", "attrition",
     "specification_curve", "spillover", "cinelli_hazlett"],
)  # fmt: skip
def test_a_level_in_per_cent(rich, name):
    settings = {"placebo_in_space": {"draws": 2}, "spillover": {"exposure": "exposed"}}
    with pytest.raises(InferenceError, match="level is a share between 0 and 1, such as 0.95"):
        getattr(sensitivity, name)(rich, level=95, **settings.get(name, {}))


def test_carry_over_of_no_period(make_frame, design_of):
    frame = make_frame().assign(stops=lambda f: f["treated"] * (f["year"] < 2016))
    stopping = FixedEffects().fit(design_of(frame, cohort=None, treated="stops"))
    with pytest.raises(DesignError, match="periods takes whole numbers, 1 or more"):
        sensitivity.carry_over(stopping, periods=0)


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_no_result(name, fitted):
    with pytest.raises(DesignError, match=f"{name} takes a Result; this is a Design"):
        getattr(sensitivity, name)(
            fitted.design, **{n: "x" for n in ("cohort",) if "cancel" in name}
        )


def test_a_setting_that_an_analysis_does_not_have(fitted):
    with pytest.raises(
        DesignError, match=r"honest has no setting 'bound'. Did you mean \"bounds\""
    ):
        battery(fitted, honest={"bound": [1.0]})

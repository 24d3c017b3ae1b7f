"""What settings refuse of a design is told by ``unmet`` before anything is estimated."""

import numpy as np
import pandas as pd
import pytest

from impact import (
    AugmentedSyntheticControl,
    CallawaySantAnna,
    Design,
    ExtendedTWFE,
    Imputation,
    InteractiveFixedEffects,
    MatrixCompletion,
    Panel,
    StackedDiD,
    SunAbraham,
    SyntheticControl,
    SyntheticDiD,
    TwoWayFixedEffects,
)
from impact.errors import ImpactError


def make_design(onsets, *, anticipation=0, outcome=None, first=2000):
    units, years = np.repeat(np.arange(len(onsets)), 6), np.tile(np.arange(6) + first, len(onsets))
    noise = np.random.default_rng(0).normal(size=len(units))
    frame = pd.DataFrame({"unit": units, "year": years, "start": np.repeat(onsets, 6)})
    frame["y"] = noise if outcome is None else outcome
    panel = Panel(frame, unit="unit", time="year")
    return Design(panel, outcome="y", cohort="start", anticipation=anticipation)


STAGGERED = make_design([2002.0] * 5 + [2004.0] * 5 + [np.nan] * 5)
NOBODY_NEVER = make_design([2002.0] * 5 + [2004.0] * 5)
EARLY = make_design([2001.0] * 5 + [2004.0] * 5 + [np.nan] * 5)


@pytest.mark.parametrize(
    ("estimator", "design", "words"),
    [
        (TwoWayFixedEffects(), STAGGERED, "accept_forbidden_comparisons=True"),
        (
            TwoWayFixedEffects(
                effect="event_study", reference=40, accept_forbidden_comparisons=True
            ),
            STAGGERED,
            "it was 40",
        ),
        (CallawaySantAnna(comparison="never_treated"), NOBODY_NEVER, "units that are never"),
        (ExtendedTWFE(comparison="never_treated"), NOBODY_NEVER, "units that are never"),
        (ExtendedTWFE(family="poisson"), STAGGERED, "outcomes that are not negative"),
        (
            StackedDiD(pre=1, post=1),
            make_design([2003.0] * 5 + [np.nan] * 5, anticipation=1),
            "leaves no period before anticipation=1",
        ),
        (Imputation(pre_periods=9), STAGGERED, "pre_periods=9 leaves no untreated period"),
        (SunAbraham(base_event_times=(-3,)), STAGGERED, "is not seen at any"),
        (MatrixCompletion(), NOBODY_NEVER, "nobody is untreated in 2 periods"),
        (
            InteractiveFixedEffects(rank=4),
            STAGGERED,
            "2 periods have no more than 5 untreated units",
        ),
        (SyntheticControl(), EARLY, "two periods or more"),
        (AugmentedSyntheticControl(), EARLY, "two periods or more"),
        (SyntheticDiD(), EARLY, "two periods or more"),
        (
            CallawaySantAnna(),
            make_design([2002.0] * 5 + [np.nan] * 5, outcome=1.0),
            "it does not vary",
        ),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_what_fit_refuses_unmet_tells(estimator, design, words):
    told = estimator.unmet(design)
    assert len(told) == 1
    assert words in told[0]
    with pytest.raises(ImpactError) as refused:
        estimator.fit(design)
    assert str(refused.value) == told[0]


def test_nothing_is_unmet_where_fit_estimates():
    accepted = TwoWayFixedEffects(accept_forbidden_comparisons=True)
    assert accepted.unmet(STAGGERED) == []
    assert np.isfinite(accepted.fit(STAGGERED).estimates).all()

"""Panels with known effects for the sensitivity tests."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from impact.design import Design
from impact.estimators import CallawaySantAnna
from impact.panel import Panel


@pytest.fixture(scope="session")
def make_frame():
    """Build a staggered panel: firms in 12 provinces, 8 years, cohorts 2013, 2015 and never.

    Treatment is assigned by firm, or by whole provinces.
    """

    def build(
        effect=1.0, trend=0.0, noise=0.3, seed=0, n_provinces=12, n_firms=15, by_province=False
    ):
        rng = np.random.default_rng(seed)
        firm, year = np.meshgrid(
            np.arange(n_provinces * n_firms), np.arange(2010, 2018), indexing="ij"
        )
        province = firm // n_firms
        group = province if by_province else firm
        cohort = np.select([group % 3 == 0, group % 3 == 1], [2013.0, 2015.0], np.nan)
        treated = year >= np.nan_to_num(cohort, nan=9999)
        level = rng.normal(size=firm.shape[0])[:, None] + 0.1 * (year - 2010)
        outcome = level + effect * treated + noise * rng.normal(size=firm.shape)
        outcome = outcome + trend * ~np.isnan(cohort) * (year - 2010)
        return pd.DataFrame(
            {
                "firm": firm.ravel(),
                "year": year.ravel(),
                "province": province.ravel(),
                "cohort": cohort.ravel(),
                "treated": treated.ravel().astype(int),
                "y": outcome.ravel(),
                "x": rng.normal(size=firm.size),
            }
        )

    return build


@pytest.fixture(scope="session")
def design_of():
    """Make a design of such a frame."""

    def build(frame, **settings):
        given = {"outcome": "y", "cohort": "cohort"} | settings
        return Design(Panel(frame, unit="firm", time="year"), **given)

    return build


@pytest.fixture(scope="session")
def fitted(make_frame, design_of):
    """Callaway-Sant'Anna on the default panel."""
    return CallawaySantAnna().fit(design_of(make_frame()))


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")

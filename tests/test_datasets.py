"""Data sets of the dependencies: known values, or refused."""

import dataclasses

import numpy as np
import pytest

from impact import datasets
from impact.errors import PanelError


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_loads_as_a_panel(name):
    about, frame = datasets.describe(name), datasets.load(name)
    assert not frame.duplicated([about.unit, about.time]).any()
    assert frame.groupby(about.unit)[about.cohort].nunique(dropna=False).eq(1).all()
    assert about.title
    assert about.source
    assert about.licence


def test_michigan_grants_come_in_two_waves():
    frame = datasets.load("michigan_grants")
    first = frame.groupby("fcode")["first_grant"].first()
    assert len(first) == 157
    assert (first == 1988).sum() == 36
    assert (first == 1989).sum() == 30
    np.testing.assert_array_equal(
        frame["grant"] == 1, frame["year"] == frame["first_grant"], "a grant is for one year"
    )


def test_unknown_name_names_a_near_one():
    with pytest.raises(PanelError, match='Did you mean "michigan_grants"'):
        datasets.load("michigan_grant")


def test_other_values_are_refused(monkeypatch):
    about, read = datasets._DATASETS["michigan_grants"]
    changed = dataclasses.replace(about, sha256="0" * 64)
    monkeypatch.setitem(datasets._DATASETS, "michigan_grants", (changed, read))
    with pytest.raises(PanelError, match="has other values"):
        datasets.load("michigan_grants")


def test_a_missing_package_is_named(monkeypatch):
    about, _ = datasets._DATASETS["michigan_grants"]

    def absent():
        raise ModuleNotFoundError("No module named 'linearmodels'", name="linearmodels")

    monkeypatch.setitem(datasets._DATASETS, "michigan_grants", (about, absent))
    with pytest.raises(PanelError, match="pip install linearmodels"):
        datasets.load("michigan_grants")

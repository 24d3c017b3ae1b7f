"""What every estimator must do; ``tests/test_contract.py`` runs it over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel, Result
from impact.errors import DesignError, ImpactError
from impact.estimators.base import Estimator

# Rounding of sums over a few hundred rows in another order.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Subject:
    """An estimator with a panel it accepts and what it is exempt from, each with a reason.

    ``settings`` go to Design; ``frame`` has unit, time, cohort, treated, outcome, cluster and x.
    ``exempt`` maps a check's name to the reason why it does not hold for this method.
    ``treated_rows`` marks the rows to which a constant effect is added.
    """

    estimator: Estimator
    frame: pd.DataFrame
    settings: Mapping[str, object]
    exempt: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = ROUNDING

    @property
    def name(self) -> str:
        return f"{self.estimator}"

    def design(self, frame: pd.DataFrame | None = None) -> Design:
        data = self.frame if frame is None else frame
        return Design(Panel(data, unit="unit", time="time"), outcome="outcome", **self.settings)

    def fit(self, frame: pd.DataFrame | None = None) -> Result:
        return self.estimator.fit(self.design(frame))


def same_estimates(one: Result, other: Result, tolerance: float, scale: float = 1.0) -> None:
    """Compare estimates and standard errors of two fits, the second in units of ``scale``."""
    size = max(np.nanmax(np.abs(one.estimates)), np.nanmax(one.std_errors, initial=0.0))
    atol = tolerance * size
    np.testing.assert_allclose(other.estimates / scale, one.estimates, rtol=tolerance, atol=atol)
    np.testing.assert_allclose(
        other.std_errors / abs(scale), one.std_errors, rtol=tolerance * 10, atol=atol
    )


def check_refit(subject: Subject) -> None:
    """Fitting twice gives the same bytes and leaves design and frame as they were."""
    design, before = subject.design(), subject.frame.copy()
    first, second = subject.estimator.fit(design), subject.estimator.fit(design)
    pd.testing.assert_frame_equal(first.tidy(), second.tidy(), check_exact=True)
    pd.testing.assert_frame_equal(subject.frame, before)
    same_estimates(first, subject.fit(), 0.0)


def check_row_order(subject: Subject) -> None:
    """The order of rows does not matter."""
    same_estimates(
        subject.fit(), subject.fit(subject.frame.sample(frac=1, random_state=5)), subject.tolerance
    )


def check_labels(subject: Subject) -> None:
    """Names of units do not matter, nor their order."""
    renamed = subject.frame.assign(unit=[f"firm {10_000 - u}" for u in subject.frame["unit"]])
    same_estimates(subject.fit(), subject.fit(renamed), subject.tolerance)


def check_scaling(subject: Subject) -> None:
    """Outcomes in other units of measure scale estimates and standard errors, no more."""
    for scale in (1e-6, -3.0, 1e9):
        scaled = subject.frame.assign(outcome=subject.frame["outcome"] * scale)
        same_estimates(subject.fit(), subject.fit(scaled), subject.tolerance, scale)


def check_unit_constants(subject: Subject) -> None:
    """A constant added to each unit changes nothing."""
    level = np.random.default_rng(1).normal(size=subject.frame["unit"].max() + 1) * 3
    moved = subject.frame.assign(outcome=subject.frame["outcome"] + level[subject.frame["unit"]])
    same_estimates(subject.fit(), subject.fit(moved), subject.tolerance)


def check_time_path(subject: Subject) -> None:
    """A path common to all units changes nothing."""
    path = subject.frame["time"].map(
        {t: np.sin(3.0 * t) * 2 for t in subject.frame["time"].unique()}
    )
    moved = subject.frame.assign(outcome=subject.frame["outcome"] + path)
    same_estimates(subject.fit(), subject.fit(moved), subject.tolerance)


def check_constant_effect(subject: Subject) -> None:
    """An effect added to every treated row raises the average effect by as much."""
    raised = subject.frame.assign(outcome=subject.frame["outcome"] + 2.5 * subject.frame["treated"])
    before, after = subject.fit().att(), subject.fit(raised).att()
    np.testing.assert_allclose(after.estimates - before.estimates, 2.5, rtol=1e-8)


def check_no_variation(subject: Subject) -> None:
    """An outcome that does not vary is refused; one with nothing to explain gives exact zeros."""
    constant = subject.frame.assign(outcome=5.3)
    with pytest.raises(ImpactError, match=r"is 5\.3 in all [\d,]+ rows: it does not vary"):
        subject.fit(constant)
    moved = np.zeros(len(subject.frame))
    if "unit_constants" not in subject.exempt:
        moved += 1e3 * np.sin(subject.frame["unit"])
    if "time_path" not in subject.exempt:
        moved += np.cos(subject.frame["time"])
    if not moved.any():
        return
    try:
        result = subject.fit(subject.frame.assign(outcome=moved))
    except ImpactError:
        return
    for view in (result, result.att()):
        assert (np.isnan(view.estimates) | (view.estimates == 0)).all()
        assert np.isnan(view.std_errors).all()
        assert view.tidy()["p_value"].isna().all()
    assert (result.cells["note"] != "").any() or not result.uncertainty.variances().any()


def check_result(subject: Subject) -> None:
    """Estimates come with reasons where missing, a coherent covariance and a tidy table."""
    result = subject.fit()
    missing = np.isnan(result.estimates)
    assert (result.cells.loc[missing, "note"] != "").all()
    V = result.covariance().to_numpy()
    np.testing.assert_allclose(V, V.T, rtol=1e-9, atol=1e-15 * np.abs(V).max())
    assert np.linalg.eigvalsh(V)[0] >= -1e-9 * np.abs(V).max()
    known = ~np.isnan(result.std_errors)
    assert known.any()
    np.testing.assert_allclose(result.std_errors[known] ** 2, np.diag(V)[known], rtol=1e-9)
    tidy = result.tidy()
    wanted = "term estimate std_error statistic df p_value conf_low conf_high band_low band_high"
    assert [c for c in wanted.split() if c not in tidy] == []
    if "inference" not in tidy:
        assert (tidy["band_low"][known] <= tidy["conf_low"][known]).all()
    sets = tidy[tidy["conf_low"].notna()]
    slack = 1e-9 * sets["estimate"].abs().max()
    assert (sets["conf_low"] <= sets["estimate"] + slack).all(), "a set lacks its estimate"
    assert (sets["conf_high"] >= sets["estimate"] - slack).all(), "a set lacks its estimate"
    att = result.att()
    assert len(att) == 1
    assert np.isfinite(att.estimates[0])
    assert att.std_errors[0] > 0
    for text in (result.summary(), result._repr_html_(), result.to_markdown(), result.to_latex()):
        assert subject.design().outcome in text or "term" in text


def check_settings(subject: Subject) -> None:
    """Settings compare equal, print themselves, are frozen and refuse unknown names."""
    estimator = subject.estimator
    assert type(estimator)(**estimator.settings()) == estimator
    for name in estimator.settings():
        assert name in repr(estimator)
        with pytest.raises(FrozenInstanceError):
            setattr(estimator, name, None)
    with pytest.raises(DesignError, match="no_such_setting"):
        type(estimator)(no_such_setting=1)
    for setting in fields(estimator):
        if "Literal" in str(setting.type) or isinstance(getattr(estimator, setting.name), str):
            wrong = {**estimator.settings(), setting.name: "no such choice"}
            # A choice is refused when the estimator is made, a column's name when it is fitted.
            with pytest.raises(ValueError, match=f"{setting.name}|no such choice"):
                type(estimator)(**wrong).fit(subject.design())


CHECKS: dict[str, Callable[[Subject], None]] = {
    "refit": check_refit,
    "row_order": check_row_order,
    "labels": check_labels,
    "scaling": check_scaling,
    "unit_constants": check_unit_constants,
    "time_path": check_time_path,
    "constant_effect": check_constant_effect,
    "no_variation": check_no_variation,
    "result": check_result,
    "settings": check_settings,
}

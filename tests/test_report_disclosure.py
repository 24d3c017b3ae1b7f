"""Effects of few units cannot be had from averages beside the effects that are shown."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report_matrix import write_project

from impact.report import effect_tables
from impact.report.disclosure import hidden_estimates
from impact.report.effects import estimate_outcomes
from impact.report.results import Record

ROUNDING = 1e-8
"""Nine digits are stored."""


def tells(weights, own):
    """Whether a combination of the rows is of the marked columns alone, by ranks."""
    if not len(weights):
        return False
    return np.linalg.matrix_rank(weights) > np.linalg.matrix_rank(weights[:, ~own])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_no_combination_of_what_is_left_is_of_a_small_group_alone(seed):
    rng = np.random.default_rng(seed)
    groups = rng.choice([-1, -1, -1, 0, 1], size=rng.integers(2, 9))
    cells = np.eye(len(groups))[groups < 0]
    averages = rng.choice([0.0, 0.0, 1.0, 2.0], size=(rng.integers(1, 6), len(groups)))
    shown = np.vstack((cells, averages))
    hidden = hidden_estimates(shown, groups, np.arange(len(shown), dtype=float))
    left = shown[~hidden]
    assert not any(tells(left, groups == group) for group in (0, 1))
    if not any(tells(shown, groups == group) for group in (0, 1)):
        assert not hidden.any()


def firms(waves, lost=()):
    """Firms by wave of treatment, 2015-2020; ``lost`` are rows (firm, year) without an outcome."""
    rng = np.random.default_rng(4)
    since = [wave for wave, count in waves.items() for _ in range(count)]
    rows = [
        (f"f{i:03d}", year, wave, 30 + i % 5 + rng.normal() + 2 * (year >= (wave or 9999)))
        for i, wave in enumerate(since)
        for year in range(2015, 2021)
    ]
    frame = pd.DataFrame(rows, columns=["firm", "year", "since", "jobs"]).round(4)
    gone = pd.MultiIndex.from_frame(frame[["firm", "year"]]).isin(lost)
    return frame.assign(province="Hưng Yên", jobs=frame["jobs"].mask(gone))


def record_of(frame, folder):
    plan = write_project(folder / "firms", frame)
    effects = estimate_outcomes(plan, plan.load())
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    effect_tables.group_time_table(record, effects)
    effect_tables.event_study_table(record, effects)
    stored = record.as_dict()
    shown = {id: v["value"] for id, v in stored["values"].items() if v["value"] is not None}
    return effects["jobs"], shown, stored


def test_the_average_of_two_waves_does_not_tell_the_small_one(tmp_path):
    effect, shown, _ = record_of(firms({2017: 2, 2018: 12, None: 30}), tmp_path)
    cells = effect.result.cells
    known, combined = {}, []
    for cell in cells[cells["estimate"] != 0].itertuples():
        known[cell.cohort, cell.event_time] = len(known)
    unit = np.eye(len(known))
    for (cohort, since), place in known.items():
        if f"jobs.att_{cohort:.0f}_{cohort + since:.0f}" in shown:
            combined.append(unit[place])
    shares = {2017.0: 2.0, 2018.0: 12.0}
    for since in {since for _, since in known}:
        if f"jobs.event_{'m' if since < 0 else ''}{abs(since):.0f}" in shown:
            row = sum(shares[c] * unit[k] for (c, e), k in known.items() if e == since)
            combined.append(row)
    if "jobs.average" in shown:
        after = {c: [k for (g, e), k in known.items() if g == c and e >= 0] for c in shares}
        combined.append(sum(shares[c] * unit[places].mean(axis=0) for c, places in after.items()))
    small = np.array([cohort == 2017 for cohort, _ in known])
    assert not tells(np.array(combined), small)
    assert {"jobs", "jobs.average", "jobs.first", "jobs.event_0"} <= set(shown)
    assert not any(id.startswith("jobs.att_2017") for id in shown)


def test_a_first_period_that_few_report_is_hidden_everywhere(tmp_path):
    lost = [(f"f{i:03d}", 2017) for i in range(4)]
    effect, shown, stored = record_of(firms({2017: 6, None: 30}, lost), tmp_path)
    cells = effect.result.cells.set_index("event_time")["estimate"]
    assert not [id for id, value in shown.items() if value == pytest.approx(cells[0], rel=ROUNDING)]
    assert "jobs.first" not in shown
    after = [f"jobs.att_2017_{year}" for year in (2018, 2019, 2020)]
    assert len([id for id in after if id in shown]) == 2
    assert [id for id in after if id in shown] == after[:2]
    assert {"jobs.event_1", "jobs.event_2"} <= set(shown)
    assert "jobs.event_3" not in shown
    table = stored["tables"]["group_time"]
    treated = [column["name"] for column in table["columns"]].index("treated")
    assert [row[treated] for row in table["rows"]] == [6, None, 6, 6, 6]


def test_nothing_small_hides_nothing(tmp_path):
    effect, _, stored = record_of(firms({2017: 5, 2018: 12, None: 30}), tmp_path)
    assert not stored["hidden"]
    assert not effect.hides_average
    assert not effect.cells()["hidden"].any()

"""Several events for one unit: each rule by hand, and what it must say."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Panel
from impact.errors import PanelError
from impact.events import single_events


def frame_of(events, periods=8):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {"firm": firm, "year": t, "project": float(t in when), "y": rng.normal()}
            for firm, when in events.items()
            for t in range(1, periods + 1)
        ]
    )


EVENTS = {"a": (3,), "b": (3, 5), "c": (2, 8), "d": (), "e": (4, 8)}


def test_first_keeps_all_rows_and_shows_what_is_mixed_in():
    frame = frame_of(EVENTS)
    sample = single_events(frame, unit="firm", time="year", event="project", after=3)
    cohorts = sample.frame.groupby("event_unit")["cohort"].first()
    assert cohorts.to_dict() == pytest.approx(
        {"a": 3, "b": 3, "c": 2, "d": np.nan, "e": 4}, nan_ok=True
    )
    assert (sample.n_events, sample.n_used, sample.n_rows_dropped) == (7, 4, 0)
    # Of the four first events only b's is followed within three years.
    assert sample.share_with_later == 0.25
    b = sample.frame[sample.frame["event_unit"] == "b"].set_index("year")["later_events"]
    assert list(b) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert (
        "25.0% followed by another within 3 periods, whose effect is mixed in" in sample.sentence()
    )


def test_censored_stops_at_the_second():
    sample = single_events(
        frame_of(EVENTS), unit="firm", time="year", event="project", rule="censored"
    )
    last = sample.frame.groupby("event_unit")["year"].max().to_dict()
    assert last == {"a": 8, "b": 4, "c": 7, "d": 8, "e": 7}
    assert sample.n_rows_dropped == 4 + 1 + 1
    # b's second comes within three years and cuts its window short.
    assert sample.share_with_later == 0.25
    assert "25.0% followed by another within 3 periods, where their rows end" in sample.sentence()
    assert (sample.frame["later_events"] == 0).all()


def test_clean_windows_hold_one_event_each():
    sample = single_events(
        frame_of(EVENTS), unit="firm", time="year", event="project", rule="clean", before=2, after=2
    )
    assert set(sample.frame["event_unit"]) == {"a (3)", "c (2)", "c (8)", "e (4)", "e (8)", "d"}
    windows = sample.frame.groupby("event_unit")["year"].agg(["min", "max"])
    assert tuple(windows.loc["e (4)"]) == (2, 6)
    assert tuple(windows.loc["e (8)"]) == (6, 8)
    assert sample.n_used == 5
    assert sample.share_with_later == 0.0
    # The later ones of c and e.
    assert sample.share_with_earlier == 0.4
    assert "40.0% preceded by another before the window" in sample.sentence()
    assert (sample.frame["later_events"] == 0).all()


def test_each_rule_makes_a_design():
    rng = np.random.default_rng(3)
    events = {f"f{i}": tuple(sorted(rng.choice(range(3, 9), rng.integers(0, 3), replace=False)))
              for i in range(80)}  # fmt: skip
    frame = frame_of(events)
    for rule in ("first", "censored", "clean"):
        sample = single_events(frame, unit="firm", time="year", event="project", rule=rule)
        design = Design(
            Panel(sample.frame, unit="event_unit", time="year"), outcome="y", cohort="cohort",
            clusters="firm",
        )  # fmt: skip
        assert np.isfinite(CallawaySantAnna().fit(design).att().std_errors[0])


def test_refusals():
    frame = frame_of(EVENTS)
    names = {"unit": "firm", "time": "year", "event": "project"}
    with pytest.raises(PanelError, match="rule may be 'first', 'censored', 'clean'"):
        single_events(frame, **names, rule="last")
    with pytest.raises(PanelError, match="is missing or negative in 1 row"):
        single_events(frame.assign(project=frame["project"].where(frame.index != 5)), **names)
    with pytest.raises(PanelError, match="no row has a positive"):
        single_events(frame.assign(project=0.0), **names)
    crowded = frame_of({"a": (3, 4, 5)})
    with pytest.raises(PanelError, match="none of the 3 events is without another"):
        single_events(crowded, **names, rule="clean")

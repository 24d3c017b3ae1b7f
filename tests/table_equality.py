"""Designs on a table beside the same rows in memory, and the comparison of their results.

The table is a Parquet file read by DuckDB; where IMPACT_POSTGRES names a PostgreSQL server, such as
postgresql://me@localhost/scratch, a temporary table there.
"""

import os
from functools import cache

import numpy as np
import pandas as pd

from impact import Design, Panel, scan

RTOL = 1e-10
"""What the same sums in another order may differ by, of the largest number of a column."""


def table_of(frame, folder):
    if "IMPACT_POSTGRES" in os.environ:
        return postgres_table(frame)
    path = folder / "panel.parquet"
    frame.to_parquet(path)
    return scan(path, threads=2)


@cache
def postgres():
    import ibis

    return ibis.connect(os.environ["IMPACT_POSTGRES"])


def postgres_table(frame):
    """Put rows into a temporary table, which is gone when the connection closes."""
    kinds = {"i": "bigint", "u": "bigint", "f": "double precision", "b": "boolean"}
    columns = ", ".join(f'"{c}" {kinds.get(frame[c].dtype.kind, "text")}' for c in frame)
    engine = postgres()
    with engine.con.cursor() as cursor:
        cursor.execute('drop table if exists "panel"')
        cursor.execute(f'create temporary table "panel" ({columns})')
        with cursor.copy('copy "panel" from stdin with csv') as copy:
            copy.write(frame.to_csv(index=False, header=False, float_format="%.17g"))
    engine.con.commit()
    return engine.table("panel")


def scanned(frame, folder, **settings):
    names = {"unit": "unit", "time": "time", "outcome": "outcome"}
    return Design.from_table(table_of(frame, folder), **names | settings)


def in_memory(frame, *, unit="unit", time="time", outcome="outcome", **settings):
    return Design(Panel(frame, unit=unit, time=time), outcome=outcome, **settings)


def assert_equal_frames(here, there):
    assert list(here.columns) == list(there.columns)
    for name in here:
        if pd.api.types.is_numeric_dtype(here[name]):
            ours, theirs = here[name].to_numpy(float), there[name].to_numpy(float)
            scale = np.max(np.abs(ours[np.isfinite(ours)]), initial=0.0)
            np.testing.assert_allclose(theirs, ours, rtol=RTOL, atol=RTOL * scale, err_msg=name)
        else:
            assert list(here[name]) == list(there[name]), name


def assert_same(estimator, here, there, views=("att", "event_time", "cohort", "time")):
    assert there.facts == here.facts
    assert there.dropped == here.dropped
    ours, theirs = estimator.fit(here), estimator.fit(there)
    assert theirs.notes == ours.notes
    assert_equal_frames(ours.tidy(), theirs.tidy())
    for view in views:
        if view == "att":
            assert_equal_frames(ours.att().tidy(), theirs.att().tidy())
        else:
            assert_equal_frames(ours.by(view).tidy(), theirs.by(view).tidy())
    assert theirs.extra["queries"] == there.queries[: len(theirs.extra["queries"])]
    return ours, theirs


def gaps(frame, seed=0):
    rng = np.random.default_rng(seed)
    frame = frame[rng.random(len(frame)) < 0.8].reset_index(drop=True)
    frame["outcome"] = frame["outcome"].mask(rng.random(len(frame)) < 0.03)
    return frame

"""A million rows on Spark in local mode give what they give in memory."""

import shutil

import did
import numpy as np
import pytest

from impact import CallawaySantAnna, Design, Imputation, Panel, TwoWayFixedEffects, simulate

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

RTOL = 1e-10
"""What the same sums in another order may differ by."""


@pytest.fixture(scope="module")
def engine():
    ibis = pytest.importorskip("ibis")
    pyspark = pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs a Java runtime")
    session = (
        pyspark.sql.SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "3g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    yield ibis.pyspark.connect(session)
    session.stop()


@pytest.fixture(scope="module")
def frame():
    return simulate.staggered_panel(0, n_units=100_000, periods=10, cohorts=(4, 6, 8)).frame


@pytest.mark.parametrize(
    "estimator",
    [CallawaySantAnna(), Imputation(), TwoWayFixedEffects(accept_forbidden_comparisons=True)],
    ids=lambda estimator: estimator.name,
)
def test_spark_gives_the_same(engine, frame, tmp_path, estimator):
    columns = ["unit", "time", "outcome", "cohort"]
    frame[columns].to_parquet(tmp_path / "panel.parquet", coerce_timestamps="us")
    table = engine.read_parquet(str(tmp_path / "panel.parquet"))
    names = {"outcome": "outcome", "cohort": "cohort"}
    there = Design.from_table(table, unit="unit", time="time", **names)
    here = did.Design(Panel(frame, unit="unit", time="time"), **names)
    assert there.facts == here.facts
    ours, theirs = (estimator.fit(design).att() for design in (here, there))
    np.testing.assert_allclose(theirs.estimates, ours.estimates, rtol=RTOL)
    np.testing.assert_allclose(theirs.std_errors, ours.std_errors, rtol=RTOL)

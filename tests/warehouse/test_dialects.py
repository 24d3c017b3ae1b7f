"""Every query has a form in the SQL of engines that no test can reach; what lacks one is told."""

import did
import pytest
from table_equality import gaps, scanned

from impact import CallawaySantAnna, Imputation, TwoWayFixedEffects
from impact.warehouse import engine

ibis = pytest.importorskip("ibis")
sqlglot = pytest.importorskip("sqlglot")

SETTINGS = {
    "cohort": {"cohort": "cohort", "clusters": "cluster", "weights": "w"},
    "treated": {"treated": "on", "covariates": ["z"]},
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Return the queries of effects by cohort, and of two-way fixed effects, by purpose."""
    found = {}
    run = engine.Engine.run

    def keep(self, purpose, expression):
        found[purpose] = expression
        return run(self, purpose, expression)

    frame = did.staggered(n_units=80, periods=6, n_clusters=24)
    frame = frame.assign(on=(frame["time"] >= frame["cohort"]).astype(int))
    static = TwoWayFixedEffects(accept_forbidden_comparisons=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.Engine, "run", keep)
        for question in SETTINGS.values():
            for rows in (frame, gaps(frame)):
                folder = tmp_path_factory.mktemp("rows")
                there = scanned(rows, folder, always_treated="drop", **question)
                static.fit(there).tidy()
                if "cohort" in question:
                    Imputation().fit(there).tidy()
                    CallawaySantAnna(unbalanced="complete_units").fit(there).tidy()
                assert there.table.widest_change > 0
    return found


@pytest.mark.parametrize(
    "dialect", ["trino", "bigquery", "postgres", "snowflake", "databricks", "clickhouse"]
)
def test_every_query_can_be_written(dialect, asked):
    assert len(asked) > 10
    for purpose, expression in asked.items():
        sql = str(ibis.to_sql(expression, dialect=dialect))
        read = sqlglot.parse_one(sql, dialect=dialect)
        assert isinstance(read, sqlglot.exp.Query), purpose


def test_what_an_engine_lacks_shows_without_it(asked):
    """MySQL has no covariance, which two-way fixed effects need; cohort moments do without."""
    lacking = set()
    for purpose, expression in asked.items():
        try:
            ibis.to_sql(expression, dialect="mysql")
        except ibis.common.exceptions.OperationNotDefinedError:
            lacking.add(purpose)
    assert "second moments by cohort" not in lacking
    assert "units by cohort and presence" not in lacking
    assert "unit means by presence" in lacking

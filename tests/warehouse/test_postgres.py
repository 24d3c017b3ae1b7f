"""A PostgreSQL server gives what the same rows give in memory.

Runs where IMPACT_POSTGRES names a server, as postgresql://me@localhost/scratch; with it the other
tests of equality run there too.
"""

import os

import did
import pytest
from table_equality import assert_same, gaps, in_memory, postgres, postgres_table

from impact import CallawaySantAnna, Design, Imputation, StackedDiD, TwoWayFixedEffects
from impact.errors import TableError

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif("IMPACT_POSTGRES" not in os.environ, reason="IMPACT_POSTGRES is not set"),
]

QUESTION = {"cohort": "cohort", "always_treated": "drop"}
CASES = {
    "group-time": (CallawaySantAnna(unbalanced="complete_units"), {}),
    "imputation": (Imputation(), {"clusters": "cluster", "weights": "w"}),
    "stacked": (StackedDiD(pre=2, post=1), {}),
    "two-way": (TwoWayFixedEffects(accept_forbidden_comparisons=True), {"clusters": "cluster"}),
}


def there_of(frame, **question):
    return Design.from_table(
        postgres_table(frame), unit="unit", time="time", outcome="outcome", **question
    )


@pytest.mark.parametrize("name", CASES)
def test_postgres_gives_the_same(name):
    estimator, settings = CASES[name]
    frame = gaps(did.staggered(n_units=200, periods=6, n_clusters=24))
    here = in_memory(frame, **QUESTION, **settings)
    assert_same(estimator, here, there_of(frame, **QUESTION, **settings), views=("att",))


def test_a_dropped_connection_is_told_with_the_query():
    frame = did.staggered(n_units=60, periods=6)
    design = there_of(frame, cohort="cohort")
    backend = design.table.engine.backend
    with backend.con.cursor() as cursor, pytest.raises(Exception, match="terminat"):
        cursor.execute("select pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(TableError, match="postgres could not find second moments") as told:
        CallawaySantAnna().fit(design)
    assert "The query was:\nSELECT" in str(told.value)
    postgres.cache_clear()

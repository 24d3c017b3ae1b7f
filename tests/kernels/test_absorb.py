"""The within transform against least squares on dummy variables written out."""

import numpy as np
import pytest

from impact.errors import EstimationError
from impact.kernels import dense_levels, sparse_levels
from impact.kernels.absorb import absorb
from impact.kernels.groups import compact, is_nested, lone_rows
from impact.kernels.parallel import get_threads, set_threads

EXACT = 1e-12  # relative to the column's size: rounding of the reference and of the kernel


def dummies(codes):
    return np.eye(codes.max() + 1)[codes][:, np.unique(codes)]


def by_dummies(column, effects, weights=None, slopes=None):
    """Residual, rank and leverages by singular values of the dummies themselves."""
    parts = [dummies(codes) for codes in effects]
    if slopes is not None:
        parts += [dummies(effects[0]) * slope[:, None] for slope in slopes]
    root = np.ones(len(column)) if weights is None else np.sqrt(weights)
    left, values, _ = np.linalg.svd(np.hstack(parts) * root[:, None], full_matrices=False)
    basis = left[:, values > 1e-10 * values[0]]
    residual = column - basis @ (basis.T @ (column * root)) / root
    return residual, basis.shape[1], (basis**2).sum(axis=1)


@pytest.fixture(params=["sorted", "shuffled"])
def rows(request):
    rng = np.random.default_rng(7)
    cells = np.sort(rng.permutation(60 * 9)[:330])
    if request.param == "shuffled":
        cells = rng.permutation(cells)
    unit, time = cells // 9, cells % 9
    place = rng.integers(0, 5, 60)[unit]
    return {
        "unit": unit,
        "time": time,
        "place": place,
        "place_time": place * 10 + time,
        "sector": rng.integers(0, 7, len(unit)),
        "weights": rng.uniform(0.1, 3, len(unit)),
        "column": rng.normal(size=len(unit)) + unit + time**2,
    }


SETS = [
    ["unit"],
    ["unit", "time"],
    ["time", "unit"],
    ["unit", "place", "time"],
    ["unit", "time", "place_time"],
    ["unit", "place_time"],
    ["unit", "time", "sector"],
]


@pytest.mark.parametrize("scale", [1e-6, 1, 1e9])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("names", SETS, ids="+".join)
def test_equals_dummy_variables(rows, names, weighted, scale):
    effects = [rows[name] for name in names]
    weights = rows["weights"] if weighted else None
    column = rows["column"] * scale
    residual, rank, leverage = by_dummies(column, effects, weights)
    absorber = absorb(effects, weights)
    assert np.abs(absorber.sweep(column) - residual).max() <= EXACT * np.abs(column).max()
    assert absorber.rank == rank
    np.testing.assert_allclose(absorber.leverage(), leverage, atol=EXACT)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("names", [["unit"], ["unit", "time"], ["unit", "time", "sector"]])
def test_unit_trends(rows, names, weighted):
    effects = [rows[name] for name in names]
    weights = rows["weights"] if weighted else None
    slopes = rows["time"][None, :].astype(float)
    residual, rank, leverage = by_dummies(rows["column"], effects, weights, slopes)
    absorber = absorb(effects, weights, slopes)
    assert np.abs(absorber.sweep(rows["column"]) - residual).max() <= EXACT * 100
    assert absorber.rank == rank
    np.testing.assert_allclose(absorber.leverage(), leverage, atol=EXACT)


def test_rank_counts_connected_components():
    unit = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    time = np.array([0, 1, 0, 1, 2, 3, 2, 3])
    assert absorb([unit, time]).rank == 4 + 4 - 2


def test_repeated_cells_take_the_sparse_route(rows):
    unit, time = np.repeat(rows["unit"], 2), np.repeat(rows["time"], 2)
    column = np.random.default_rng(1).normal(size=len(unit))
    residual, rank, _ = by_dummies(column, [unit, time])
    absorber = absorb([unit, time])
    np.testing.assert_allclose(absorber.sweep(column), residual, atol=EXACT)
    assert absorber.rank == rank


def test_integer_weights_equal_repeated_rows(rows):
    copies = np.random.default_rng(2).integers(1, 4, len(rows["unit"]))
    repeated = {name: np.repeat(rows[name], copies) for name in ("unit", "time", "column")}
    once = absorb([rows["unit"], rows["time"]], copies.astype(float)).sweep(rows["column"])
    many = absorb([repeated["unit"], repeated["time"]]).sweep(repeated["column"])
    np.testing.assert_allclose(np.repeat(once, copies), many, atol=1e-10)


@pytest.mark.parametrize("names", [["unit", "time"], ["unit", "time", "sector"]])
def test_iterative_solution_equals_the_factorised_one(rows, names, monkeypatch):
    effects = [rows[name] for name in names]
    exact = absorb(effects).sweep(rows["column"])
    monkeypatch.setattr(sparse_levels, "DENSE_SYSTEM", 2)
    monkeypatch.setattr(dense_levels, "DENSE_FILL", 0)
    absorber = absorb(effects)
    np.testing.assert_allclose(absorber.sweep(rows["column"]), exact, atol=1e-10)
    with pytest.raises(EstimationError, match="leverages are not computed"):
        absorber.leverage()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("slopes", [False, True])
def test_a_table_swept_in_slabs_is_swept_alike(rows, weighted, slopes, monkeypatch):
    order = np.lexsort((rows["time"], rows["unit"]))
    unit, time, column = (rows[name][order] for name in ("unit", "time", "column"))
    weights = np.random.default_rng(2).uniform(0.5, 2, len(unit)) if weighted else None
    trend = time[None, :].astype(float) if slopes else None
    whole = absorb([unit, time], weights, trend)
    assert whole.levels.layout.slab == whole.levels.layout.shape[0]
    expected = whole.sweep(column)
    monkeypatch.setattr(dense_levels, "SLAB", 3 * whole.levels.layout.shape[1])
    parts = absorb([unit, time], weights, trend)
    assert len(parts.levels.layout.slabs) > 3
    np.testing.assert_allclose(parts.sweep(column), expected, rtol=1e-12, atol=1e-12)


def test_iterative_solution_says_when_it_does_not_settle(rows, monkeypatch):
    monkeypatch.setattr(sparse_levels, "DENSE_SYSTEM", 2)
    monkeypatch.setattr(dense_levels, "DENSE_FILL", 0)
    nothing = "_conjugate_gradient", lambda times, right, diagonal: 0 * right
    monkeypatch.setattr(sparse_levels, *nothing)
    with pytest.raises(EstimationError, match="do not settle"):
        absorb([rows["unit"], rows["time"]]).sweep(rows["column"])


def test_weakly_linked_components_stay_exact():
    """Two halves joined by one row that weighs a millionth of the others."""
    unit = np.repeat(np.arange(20), 6)
    time = np.tile(np.arange(6), 20)
    keep = (unit < 10) == (time < 3)
    keep[5] = True
    weights = np.ones(keep.sum())
    weights[(unit[keep] < 10) & (time[keep] >= 3)] = 1e-6
    column = np.random.default_rng(3).normal(size=keep.sum())
    residual, rank, _ = by_dummies(column, [unit[keep], time[keep]], weights)
    absorber = absorb([unit[keep], time[keep]], weights)
    assert absorber.rank == rank
    root = np.sqrt(weights)
    np.testing.assert_allclose(absorber.sweep(column) * root, residual * root, atol=1e-10)


def test_labels_of_any_kind_are_numbered():
    assert compact(np.array(["b", "a", "b"])).codes.tolist() == [1, 0, 1]
    assert compact(np.array([10**12, 3, 3])).codes.tolist() == [1, 0, 0]
    assert compact(np.array([5, 9, 5])).size == 2


def test_nesting():
    firm, province = compact(np.array([0, 0, 1, 2])), compact(np.array([0, 0, 0, 1]))
    assert is_nested(firm, province)
    assert not is_nested(province, firm)


def test_lone_rows_are_found_in_rounds():
    firm = np.array([0, 0, 1, 1, 2])
    year = np.array([0, 1, 1, 2, 0])
    assert lone_rows([firm, year]).tolist() == [True] * 5
    assert lone_rows([np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])]).tolist() == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_threads_change_no_digit():
    rng = np.random.default_rng(0)
    unit, time = np.repeat(np.arange(20_000), 6), np.tile(np.arange(6), 20_000)
    columns = rng.normal(size=(3, 120_000))
    before = get_threads()
    try:
        set_threads(1)
        one = absorb([unit, time]).sweep(columns)
        set_threads(3)
        three = absorb([unit, time]).sweep(columns)
    finally:
        set_threads(before)
    np.testing.assert_array_equal(three, one)
    with pytest.raises(EstimationError, match="threads is a whole number, 1 or more; it was 0"):
        set_threads(0)

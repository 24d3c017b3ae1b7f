"""Small cells: which numbers would disclose a unit, and which others would give them away.

A count of one or two firms, and what is averaged over them, tells what a single firm did. Such
cells are hidden (primary suppression). Where totals are printed too, a reader can subtract what is
shown from them, so further cells are hidden until he cannot (complementary suppression).

Source
------
Hundepool et al. (2012), Statistical Disclosure Control, Wiley, sections 4.2.2 (threshold rule) and
4.4 (secondary suppression; the ranges of an attacker as a linear program).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from impact.errors import ReportError, listing

__all__ = [
    "SMALLEST_CELL",
    "attack",
    "check_sums",
    "hidden_cells",
    "hidden_counts",
    "is_small",
    "table_sums",
]

SMALLEST_CELL = 3
"""Fewest units that a printed number may rest on, unless a plan says otherwise."""

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

_INTEGRAL = 1e-6  # a solver's zero, where the exact ranges are whole numbers


def is_small(units: object, smallest: int = SMALLEST_CELL) -> Booleans:
    """Mark cells that rest on some units, but on fewer than ``smallest``.

    No units at all disclose nobody, and a number that rests on no units (NaN) neither.
    """
    counts = np.asarray(units, dtype=float)
    return np.asarray((counts > 0) & (counts < smallest))


def hidden_cells(
    counts: Floats,
    sums: Floats,
    smallest: int = SMALLEST_CELL,
    *,
    withheld: Booleans | None = None,
    public: Booleans | None = None,
) -> Booleans:
    """Mark the cells of a table of counts that must be hidden, complementary ones included.

    A small cell is safe when, for all that is shown, it might hold ``smallest`` units or more.
    While one is not, the smallest cell beside it is hidden too. A reader knows that cells hidden
    here hold one unit at least, since zeros are shown; of those withheld he does not.

    Parameters
    ----------
    counts : array, shape (n,), units in each cell, totals among them
    sums : array, shape (m, n), of 1, 0 and -1: each row a sum that a reader knows to be zero,
        such as the cells of a row less its total
    smallest : fewest units that may be shown
    withheld : array, shape (n,), cells that are not shown for other reasons, zero or not
    public : array, shape (n,), cells that are known from elsewhere and cannot be hidden

    Returns
    -------
    array, shape (n,), bool

    Notes
    -----
    Zeros stay: they disclose nobody. The choice of the cells
    hidden for the others' sake is greedy, so it need not hide the fewest; that all are safe is
    checked exactly. A cell that public ones give away, whatever is hidden, stays given away.

    Example
    -------
    >>> counts = np.array([2.0, 5.0, 9.0, 16.0])  # three cells and their total
    >>> hidden_cells(counts, np.array([[1.0, 1.0, 1.0, -1.0]]))
    array([ True,  True, False, False])
    """
    fixed = np.zeros(len(counts), dtype=bool) if public is None else public
    small = is_small(counts, smallest) & ~fixed
    hidden = small.copy() if withheld is None else small | (withheld & ~fixed)
    for cell in np.flatnonzero(small):
        least = np.ones(len(counts)) if withheld is None else np.where(withheld, 0.0, 1.0)
        # What is hidden later only widens what a cell may hold, so a safe cell stays safe.
        while attack(counts, sums, hidden, int(cell), least)[1] < smallest - _INTEGRAL:
            beside = _beside(counts, sums, hidden | fixed, int(cell), hidden)
            if beside is None:
                break
            hidden[beside] = True
    return hidden


def attack(
    counts: Floats, sums: Floats, hidden: Booleans, cell: int, least: Floats
) -> tuple[float, float]:
    """Return the fewest and the most units a hidden cell can hold, for all that is shown.

    ``least``, shape (n,), are the fewest that each cell is known to hold if it is hidden.
    """
    from scipy.optimize import linprog

    unknown = np.flatnonzero(hidden)
    known = sums[:, hidden].any(axis=1)
    if not known.any():
        return float(least[cell]), np.inf
    equations = sums[known][:, hidden]
    right = -sums[known][:, ~hidden] @ counts[~hidden]
    ends = [(low, None) for low in least[unknown]]
    limits = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * (unknown == cell), A_eq=equations, b_eq=right, bounds=ends, method="highs"
        )
        limits.append(np.inf if solved.fun is None else sign * solved.fun)
    return limits[0], limits[1]


def table_sums(rows: int, columns: int) -> Floats:
    """Return the sums of a table with its totals, shape (rows + columns + 2, n).

    The cells are those of the table of (rows + 1, columns + 1), row by row, with the total of each
    row in the last column and that of each column in the last row.
    """
    places = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    lines = [*places, *places.T]
    sums = np.zeros((len(lines), places.size))
    for number, line in enumerate(lines):
        sums[number, line[:-1]] = 1.0
        sums[number, line[-1]] = -1.0
    return sums


def hidden_counts(
    counts: Mapping[str, float],
    sums: Iterable[tuple[str, Sequence[str]]],
    smallest: int = SMALLEST_CELL,
    *,
    withheld: Collection[str] = (),
    public: Collection[str] = (),
) -> set[str]:
    """Name the counts that must be hidden, given totals and their parts by name.

    ``withheld`` and ``public`` name those of `hidden_cells`.

    Example
    -------
    >>> sorted(hidden_counts({"all": 20, "a": 2, "b": 18}, [("all", ("a", "b"))]))
    ['a', 'b']
    """
    names = list(counts)
    known = [(whole, parts) for whole, parts in sums if {whole, *parts} <= set(names)]
    matrix = np.zeros((len(known), len(names)))
    for row, (whole, parts) in zip(matrix, known, strict=True):
        row[[names.index(part) for part in parts]] = 1.0
        row[names.index(whole)] = -1.0
    values = np.array([counts[name] for name in names], dtype=float)
    hidden = hidden_cells(
        values,
        matrix,
        smallest,
        withheld=np.array([name in withheld for name in names], dtype=bool),
        public=np.array([name in public for name in names], dtype=bool),
    )
    return {name for name, is_hidden in zip(names, hidden, strict=True) if is_hidden}


def check_sums(counts: Mapping[str, float], whole: str, parts: Sequence[str]) -> None:
    """Refuse parts that do not add up to their total.

    Raises
    ------
    ReportError : they do not, or one has no number
    """
    absent = [name for name in (whole, *parts) if name not in counts]
    if absent:
        raise ReportError(
            f'the parts of "{whole}" name {listing(absent)}, which no count recorded has. Record '
            "the counts first."
        )
    found = sum(counts[part] for part in parts)
    if found != counts[whole]:
        raise ReportError(
            f'"{whole}" is {counts[whole]:g}, but its parts ({listing(parts, 6)}) add up to '
            f"{found:g}; small cells would be hidden in the wrong places. Name all the parts."
        )


def _beside(
    counts: Floats, sums: Floats, taken: Booleans, exposed: int, hidden: Booleans
) -> int | None:
    """Return the smallest cell whose hiding helps: in a sum with one unknown, in one with the cell.

    A cell hidden alone in a sum is given away by it. None if no cell is left to hide.
    """
    involved = sums != 0
    lone = involved[involved[:, hidden].sum(axis=1) == 1].any(axis=0)
    akin = involved[involved[:, exposed]].any(axis=0)
    shown = ~taken & (counts > 0)
    first = next((p for p in (shown & lone, shown & akin, shown) if p.any()), None)
    return None if first is None else int(np.flatnonzero(first)[np.argmin(counts[first])])

"""Checks that printed figures owe: identities, copies that agree, windows that nest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from impact.published.figures import Figure, PublishedFigures
from impact.published.quantity import Quantity

__all__ = ["Check", "Finding", "check_figures", "findings_table"]

Check = Literal["identity", "copy", "reading", "nesting"]


@dataclass(frozen=True)
class Finding:
    """Hold the outcome of one check.

    Parameters
    ----------
    check : ``"identity"`` (parts make up their total), ``"copy"`` (a repetition says what the
        original says), ``"reading"`` (which of two contradicting readings the sums allow) or
        ``"nesting"`` (a window's figure is no larger than that of the window around it)
    province : of the figures
    facts : fact_ids checked, the total, original or outer figure first
    holds : whether the check holds; None where the printed digits cannot tell
    equation : the comparison in numbers, in the figures' own unit
    strict : whether the words alone, "more than" without a ceiling, already decide
    note : what follows
    """

    check: Check
    province: str
    facts: tuple[str, ...]
    holds: bool | None
    equation: str
    strict: bool
    note: str


def check_figures(published: PublishedFigures) -> tuple[Finding, ...]:
    """Check every identity, copy and nesting that the table declares.

    Parameters
    ----------
    published : the figures

    Returns
    -------
    tuple of Finding : identities first, then copies with the readings that resolve them,
        then nestings

    Notes
    -----
    Two amounts agree when they can be printed with the digits shown: parts rounded to their last
    digit need not add up to the rounded total. A total that is "more than 4.7 billion" has no
    ceiling by its words; the check reads it as less than 4.8, and `Finding.strict` says when the
    words alone suffice.
    """
    identities = [
        _identity(total, published.parts(total))
        for total in published.figures
        if published.parts(total)
    ]
    copies: list[Finding] = []
    for figure in published.figures:
        if figure.duplicate_of:
            copies += _copy(published, figure)
    nestings = [
        _nesting(published[figure.nested_in], figure)
        for figure in published.figures
        if figure.nested_in
    ]
    return (*identities, *copies, *nestings)


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return findings as a table, one row each."""
    columns = ("check", "province", "facts", "holds", "equation", "strict", "note")
    rows = [[getattr(finding, column) for column in columns] for finding in findings]
    table = pd.DataFrame(rows, columns=columns).astype({"holds": "boolean"})
    table["facts"] = [", ".join(facts) for facts in table["facts"]]
    return table


def _identity(total: Figure, parts: Sequence[Figure]) -> Finding:
    """Compare the sum of the parts with their total."""
    added = parts[0].quantity
    for part in parts[1:]:
        added = added + part.quantity
    holds = _agree(added, total.quantity)
    sign = "=" if added.value == total.quantity.value else "≠"
    left = " + ".join(_number(part.quantity) for part in parts)
    notes = {
        True: "the parts make up the total",
        False: "the parts do not make up the total, to the last digit printed",
        None: "a figure is only about right, so the sum proves nothing",
    }
    exact = {part.quantity.bound for part in parts} | {total.quantity.bound} == {"exact"}
    return Finding(
        "identity",
        total.province,
        (total.fact_id, *(part.fact_id for part in parts)),
        holds,
        f"{left} {sign} {total.quantity}",
        exact,
        notes[holds],
    )


def _copy(published: PublishedFigures, copy: Figure) -> list[Finding]:
    """Compare a repetition with its original; resolve a contradiction about what is a part."""
    original = published[copy.duplicate_of]
    same_amount = (copy.quantity, copy.window, copy.funding) == (
        original.quantity,
        original.window,
        original.funding,
    )
    of_copy = published.original(copy.part_of)
    of_original = published.original(original.part_of)
    facts = (original.fact_id, copy.fact_id)
    sign = "=" if same_amount else "≠"
    equation = f"{copy.quantity} {sign} {original.quantity}"
    if not same_amount:
        note = "amount, window or source of money differ"
        return [Finding("copy", copy.province, facts, False, equation, True, note)]
    if of_copy == of_original:
        note = "the repetition says the same; it is never added"
        return [Finding("copy", copy.province, facts, True, equation, True, note)]
    note = f"one makes it a part of {of_copy or of_original}, the other does not"
    contradiction = Finding("copy", copy.province, facts, False, equation, True, note)
    return [contradiction, _reading(published, copy, of_copy or of_original)]


def _reading(published: PublishedFigures, figure: Figure, total_id: str) -> Finding:
    """Ask the sums whether an amount can be a part of a total beside its other parts."""
    total = published[total_id]
    own = published.original(figure.fact_id)
    others = [part for part in published.parts(total) if published.original(part.fact_id) != own]
    inside = _identity(total, [*others, figure])
    outside = _identity(total, others).holds if others else None
    holds, note = None, f"the sums do not tell whether {own} is a part of {total_id}"
    if inside.holds is False and outside:
        holds, note = False, f"the other parts use up {total_id} already: {own} stands beside it"
    elif inside.holds and outside is False:
        holds, note = True, f"without {own} the parts of {total_id} fall short: it is one of them"
    return Finding(
        "reading",
        figure.province,
        (total_id, *(part.fact_id for part in others), figure.fact_id),
        holds,
        inside.equation,
        inside.strict,
        note,
    )


def _nesting(outer: Figure, inner: Figure) -> Finding:
    """Check that a window within another counts no more than it."""
    first, second = inner.quantity, outer.quantity
    holds: bool | None = first.value <= second.value
    if first.span is None or second.span is None:
        holds = None
    elif not holds:
        holds = first.span[0] <= second.span[1]
    return Finding(
        "nesting",
        outer.province,
        (outer.fact_id, inner.fact_id),
        holds,
        f"{_number(first)} {'≤' if first.value <= second.value else '>'} {second}",
        {first.bound, second.bound} == {"exact"},
        f"{inner.fact_id} is counted in {outer.fact_id} and never added to it",
    )


def _agree(first: Quantity, second: Quantity) -> bool | None:
    """Tell whether two amounts can be one, to the last digit printed; None if unknown."""
    if first.span is None or second.span is None:
        return None
    return first.span[0] <= second.span[1] and second.span[0] <= first.span[1]


def _number(quantity: Quantity) -> str:
    """Write a quantity without its unit."""
    return str(quantity).removesuffix(f" {quantity.unit}")

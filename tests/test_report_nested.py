"""Reports of one matrix and of the whole, taken together, give no small count away."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report_matrix import firms_of, write_project

from impact.report.matrix import build_matrix
from impact.report.nested import counts_of, nested_counts, withheld_ids
from impact.report.suppression import attack

SMALLEST = 3
WAVES = {3: 0.3, 4: 0.3}


def reader_can_tell(found, reported, withheld, smallest=SMALLEST):
    """List the small counts that the shown ones and all totals bound below the threshold.

    Of parts with a report a reader knows that what is hidden is not zero.
    """
    names, sums, totals = [], [], {}
    for k, (cells, within) in enumerate(found.values()):
        names += [f"{k} {id}" for id in cells]
        for id in cells:
            totals.setdefault(id, []).append(f"{k} {id}")
        sums += [(f"{k} {w}", [f"{k} {p}" for p in parts]) for w, parts in within]
    sums += list(totals.items())
    names += list(totals)
    counts = {
        f"{k} {id}": n for k, (cells, _) in enumerate(found.values()) for id, n in cells.items()
    }
    counts |= {id: sum(counts[p] for p in parts) for id, parts in totals.items()}
    matrix = np.zeros((len(sums), len(names)))
    for row, (whole, parts) in zip(matrix, sums, strict=True):
        row[names.index(whole)] = -1.0
        row[[names.index(p) for p in parts]] = 1.0
    hidden, least = np.zeros(len(names), dtype=bool), np.ones(len(names))
    for k, (value, (cells, _)) in enumerate(found.items()):
        gone = set(cells) if value not in reported else set(withheld[value])
        hidden[[names.index(f"{k} {id}") for id in gone]] = True
        if value not in reported:
            least[[names.index(f"{k} {id}") for id in cells]] = 0.0
    values = np.array([counts[name] for name in names], dtype=float)
    small = (values > 0) & (values < smallest)
    small[[names.index(t) for t in totals]] = False
    return [
        names[i]
        for i in np.flatnonzero(small)
        if not hidden[i] or attack(values, matrix, hidden, int(i), least)[1] < smallest - 1e-6
    ]


def part(treated, never):
    cells = {"units": treated + never, "treated": treated, "never": never}
    return cells, [("units", ["treated", "never"])]


def test_one_part_without_a_report_takes_the_smallest_other_with_it():
    found = {"A": part(1, 1), "B": part(9, 30), "C": part(12, 20), "D": part(40, 50)}
    assert reader_can_tell(found, "BCD", dict.fromkeys("BCD", ()))
    withheld = withheld_ids(found, "BCD", SMALLEST)
    assert not reader_can_tell(found, "BCD", withheld)
    assert withheld["D"] == ()
    assert "units" in (*withheld["B"], *withheld["C"])


def test_a_small_count_within_a_report_is_protected_from_the_total_too():
    found = {"A": part(2, 40), "B": part(9, 30), "C": part(12, 20)}
    withheld = withheld_ids(found, "ABC", SMALLEST)
    assert set(withheld["A"]) >= {"treated"}
    assert not reader_can_tell(found, "ABC", withheld)


def test_nothing_small_withholds_nothing():
    found = {"A": part(4, 40), "B": part(9, 30)}
    assert withheld_ids(found, "AB", SMALLEST) == {"A": (), "B": ()}


def test_two_parts_of_one_unit_each_are_no_protection_for_each_other():
    found = {"A": part(1, 0), "B": part(1, 0), "C": part(12, 20)}
    withheld = withheld_ids(found, "C", SMALLEST)
    assert withheld["C"]
    assert not reader_can_tell(found, "C", withheld)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda n: sum(n) > 0),
        min_size=3, max_size=6,
    )
)  # fmt: skip
def test_no_reader_can_tell_a_small_count_wherever_there_is_room_to_hide(sizes):
    found = {k: part(*size) for k, size in enumerate(sizes)}
    reported = [k for k, size in enumerate(sizes) if sum(size) >= SMALLEST]
    told = reader_can_tell(found, reported, withheld_ids(found, reported, SMALLEST))
    everything = {k: tuple(id for id, n in cells.items() if n) for k, (cells, _) in found.items()}
    given_away = reader_can_tell(found, reported, everything)
    assert set(told) <= set(given_away)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    tiny = firms_of("Cao Bằng", 4, cohorts=WAVES)
    chosen = [tiny.loc[tiny["since"].notna(), "firm"].iloc[0],
              tiny.loc[tiny["since"].isna(), "firm"].iloc[0]]  # fmt: skip
    frame = pd.concat(
        [
            tiny[tiny["firm"].isin(chosen)],
            firms_of("Hưng Yên", 1, cohorts=WAVES),
            firms_of("Huế", 2, cohorts=WAVES),
            firms_of("Sơn La", 3, cohorts=WAVES),
        ]
    )
    plan = write_project(tmp_path_factory.mktemp("nested") / "firms", frame)
    return plan, build_matrix(plan, "province", ["Hưng Yên", "Huế"], jobs=2, progress=False)


def test_the_reports_of_a_run_and_that_of_the_whole_cannot_be_subtracted(built):
    plan, matrix = built
    frame = plan.load()
    provinces = list(dict.fromkeys(frame["province"]))
    reported = [p for p in provinces if p != "Cao Bằng"]
    found = {p: counts_of(plan, frame[frame["province"] == p].reset_index(drop=True))
             for p in provinces}  # fmt: skip
    withheld = nested_counts(plan, "province", provinces, reported)
    assert reader_can_tell(found, reported, dict.fromkeys(reported, ()))
    assert not reader_can_tell(found, reported, withheld)
    assert any(withheld[p] for p in reported)
    for cell in matrix.cells:
        stored = json.loads((cell.folder / "results.json").read_text(encoding="utf-8"))
        shown = {id for id in found[cell.value][0] if stored["values"][id]["value"] is not None}
        assert shown.isdisjoint(withheld[cell.value])


def test_a_report_that_withholds_tells_its_counts_nowhere_else(built):
    plan, matrix = built
    frame = plan.load()
    values = list(dict.fromkeys(frame["province"]))
    withheld = nested_counts(plan, "province", values, [v for v in values if v != "Cao Bằng"])
    for cell in matrix.cells:
        stored = json.loads((cell.folder / "results.json").read_text(encoding="utf-8"))
        hides = bool(withheld[cell.value])
        assert ("timing" in stored["figures"]) == (not hides)
        names = [column["name"] for column in stored["tables"]["group_time"]["columns"]]
        treated = {row[names.index("treated")] for row in stored["tables"]["group_time"]["rows"]}
        assert (treated == {None}) == hides
        annex = json.loads((cell.folder / "notebook.ipynb").read_text(encoding="utf-8"))
        assert all(not c.get("outputs") for c in annex["cells"]) == hides

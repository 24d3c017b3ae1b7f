"""The examples of the README run as printed, one after the other, and say what it says they do."""

import re
from pathlib import Path

import pytest

from impact import datasets, simulate

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def lines_of(block):
    """Compile a block so that the value of its last expression is kept as ``shown``."""
    *body, last = block.strip().split("\n")
    return compile("\n".join([*body, f"shown = {last.partition('  #')[0]}"]), "README.md", "exec")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the census that the README scans."""
    (tmp_path / "census").mkdir()
    frame = simulate.staggered_panel(1, n_units=200, periods=8).frame
    names = {"unit": "firm", "time": "year", "outcome": "jobs", "cohort": "first_support"}
    frame.rename(columns=names).to_parquet(tmp_path / "census" / "2020.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_run_here():
    assert len(BLOCKS) == 3
    assert [block.count("shown") for block in BLOCKS] == [0, 0, 0]


def test_six_lines(place):
    import matplotlib.pyplot as plt

    names = {}
    exec(lines_of(BLOCKS[0]), names)
    assert names["result"].att().tidy()["p_value"].item() > 0.05  # on jobs the data cannot tell
    assert names["shown"].get_xlabel() == "Periods since treatment began"
    plt.close("all")
    hours = datasets.load("michigan_grants")
    design = names["Design"](
        names["Panel"](hours, unit="fcode", time="year"),
        outcome="hrsemp",
        cohort="first_grant",
        always_treated="drop",
    )
    study = names["CallawaySantAnna"]().fit(design).event_study().tidy()
    row = study[study["event_time"] == 0].iloc[0]
    told = [f"{row[name]:.1f}" for name in ("estimate", "conf_low", "conf_high")]
    assert told == ["32.5", "25.6", "39.4"]
    assert all(number in README for number in told)


def test_from_a_ledger_to_the_cost_of_a_job(place):
    names = {}
    with pytest.warns(match="2021"):
        exec(lines_of(BLOCKS[1]), names)
    quoted = re.search(r'says what the data say, no more: "(.*?)"', README, flags=re.DOTALL)[1]
    assert quoted.replace("\n", " ") in names["shown"]


def test_a_table_outside_memory(place):
    pytest.importorskip("duckdb")
    names = {}
    exec(lines_of(BLOCKS[2]), names)
    assert names["shown"].tidy()["estimate"].notna().all()
    assert len(names["design"].queries) >= 3

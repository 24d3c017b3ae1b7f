"""The notebook of one treated province runs on the published case and on a simulated one."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from impact.errors import SpecError
from impact.evaluation.one_province import compare_with_known, load_case

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "one_province.ipynb"


def test_an_unknown_case_is_refused():
    with pytest.raises(SpecError, match="case may be 'texas', 'simulated'"):
        load_case("texsa", 1)


def test_the_published_weights_are_beaten_before_treatment():
    pytest.importorskip("causaldata")
    found = compare_with_known(load_case("texas", 7), 0.0)
    fits = found["fit before (root mean square)"]
    assert fits["this search"] < fits["published weights"]
    assert found.loc["published weights", "gap in 2000"] == pytest.approx(26140.6, abs=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("case", ["texas", "simulated"])
def test_it_runs(case):
    if case == "texas":
        pytest.importorskip("causaldata")
    book = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(c for c in book.cells if c.metadata.get("tags") == ["parameters"])
    parameters.source = parameters.source.replace('case = "texas"', f'case = "{case}"')
    NotebookClient(book, timeout=120, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    shown = "\n".join(
        output["data"].get("text/plain", "")
        for cell in book.cells
        for output in cell.get("outputs", [])
        if "data" in output
    )
    expected = "published weights" if case == "texas" else "truth"
    assert expected in shown
    assert "rank p-value, ratio of gaps" in shown

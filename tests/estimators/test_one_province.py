"""The notebook of one treated province runs on the published case and on a simulated one."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "one_province.ipynb"


def test_it_is_stored_without_outputs():
    book = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    assert [c.metadata.get("tags") for c in book.cells if "tags" in c.metadata] == [["parameters"]]


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

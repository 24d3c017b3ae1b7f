"""Notebooks: parameters checked before a kernel starts, outputs made comparable."""

import json
import os

import nbformat
import pytest
from report_project import write_notebook

from impact.errors import ReportError, SpecError
from impact.report.notebook import (
    check_parameters,
    normalise,
    notebook_parameters,
    run_notebook,
)


def test_parameters_are_those_of_the_tagged_cell(tmp_path):
    path = write_notebook(
        tmp_path / "n.ipynb", "other = 1", parameters="a = 1\nb: list = [1]\nc = ''"
    )
    assert notebook_parameters(path) == {"a": 1, "b": [1], "c": ""}


def test_a_notebook_without_parameters_is_refused(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb")
    content = json.loads(path.read_text())
    content["cells"][0]["metadata"] = {}
    path.write_text(json.dumps(content))
    with pytest.raises(ReportError, match='has 0 cells tagged "parameters"'):
        notebook_parameters(path)


def test_a_computed_default_is_refused(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", parameters="a = 1\nb = len('x')")
    with pytest.raises(ReportError, match="parameter b: the default must be a plain literal"):
        notebook_parameters(path)


def test_a_notebook_that_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_text("{")
    with pytest.raises(ReportError, match="cannot be read"):
        notebook_parameters(path)


DECLARED = {"count": 3, "share": 0.5, "name": "x", "on": True, "items": [1], "any": None}


@pytest.mark.parametrize(
    "given",
    [{}, {"count": 4, "share": 1, "name": "y", "on": False, "items": [], "any": {"a": 1}}],
)
def test_parameters_of_the_right_type_pass(given):
    check_parameters(given, DECLARED, "n.ipynb")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cuont": 4}, 'no parameter "cuont". Did you mean "count"'),
        ({"count": 4.5}, "count must be an integer, as 3 is; it was 4.5"),
        ({"count": True}, "count must be an integer"),
        ({"share": "half"}, "share must be a number"),
        ({"on": 1}, "on must be true or false"),
        ({"items": "1"}, "items must be a list"),
        ({"cuont": 4, "name": 1}, "name must be a string"),
    ],
)
def test_unknown_or_ill_typed_parameters_are_refused(given, words):
    with pytest.raises(SpecError, match=words):
        check_parameters(given, DECLARED, "n.ipynb")


def executed(*outputs):
    cell = nbformat.v4.new_code_cell(
        "f()", outputs=list(outputs), metadata={"execution": {"shell.execute_reply": "2024"}}
    )
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python", "version": "3.11.7"},
        "papermill": {"start_time": "2024"},
    }
    return nbformat.v4.new_notebook(cells=[cell], metadata=metadata)


def test_a_normalised_notebook_holds_nothing_of_the_run():
    output = nbformat.v4.new_output(
        "execute_result", {"text/plain": "<A at 0x7f12ab>", "text/html": "<b>1</b>"}
    )
    text = normalise(executed(output))
    content = json.loads(text)
    assert content["cells"][0]["id"] == "c000"
    assert content["cells"][0]["metadata"] == {}
    assert content["cells"][0]["outputs"][0]["data"] == {"text/html": "<b>1</b>"}
    assert "2024" not in text
    assert "3.11.7" not in text


def test_addresses_and_messages_on_stderr_go():
    plain = normalise(executed(nbformat.v4.new_output("display_data", {"text/plain": "A at 0x7f"})))
    assert json.loads(plain)["cells"][0]["outputs"][0]["data"]["text/plain"] == "A"
    noise = nbformat.v4.new_output("stream", name="stderr", text="cell.py:1: UserWarning: x")
    assert json.loads(normalise(executed(noise)))["cells"][0]["outputs"] == []


def test_what_is_printed_in_a_row_is_one_piece_however_the_kernel_sent_it():
    def printed(*texts):
        shown = nbformat.v4.new_output("display_data", {"text/html": "<b>1</b>"})
        before, after = (
            [nbformat.v4.new_output("stream", name="stdout", text=text) for text in some]
            for some in (texts, ["after"])
        )
        return normalise(executed(*before, shown, *after))

    assert printed("one\n", "two\n") == printed("one\ntwo\n")
    outputs = json.loads(printed("one\n", "two\n"))["cells"][0]["outputs"]
    assert [o["output_type"] for o in outputs] == ["stream", "display_data", "stream"]


def test_a_kernel_that_dies_is_reported_with_its_last_words(tmp_path):
    path = write_notebook(
        tmp_path / "n.ipynb", "import os, sys\nos.write(2, b'out of memory')\nos._exit(9)"
    )
    with pytest.raises(ReportError, match="DeadKernelError"):
        run_notebook(path, {}, os.environ, tmp_path, progress=False)

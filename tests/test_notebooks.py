"""Notebooks stay short: prose around every cell, no definitions, one cell of parameters."""

import ast
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
REPORTS = sorted(FOLDER.glob("*.ipynb"))
NOTEBOOKS = [*REPORTS, *sorted((FOLDER / "tutorials").glob("*.ipynb"))]
LONGEST = 20
MAGIC = ("%", "!")

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def faults(book, needs_parameters):
    """List what a notebook does that it should not."""
    found = []
    before = None
    for number, cell in enumerate(book.cells):
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            code = "\n".join(line for line in lines if not line.lstrip().startswith(MAGIC))
            defines = any(isinstance(node, DEFINITIONS) for node in ast.walk(ast.parse(code)))
            if defines and "defines" not in cell.metadata.get("tags", []):
                found.append(f"cell {number} defines a function or class; put it into the package")
            if len(lines) > LONGEST:
                found.append(f"cell {number} has {len(lines)} lines; {LONGEST} are enough")
            if before != "markdown":
                found.append(f"cell {number} has no prose before it")
            if cell.execution_count is None:
                found.append(f"cell {number} is stored as never run")
        before = cell.cell_type
    if before != "markdown":
        found.append("the last cell has no prose after it")
    tagged = sum("parameters" in cell.metadata.get("tags", []) for cell in book.cells)
    if needs_parameters and tagged != 1:
        found.append(f"{tagged} cells are tagged parameters; there must be one")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_told(path):
    book = nbformat.read(path, as_version=4)
    assert not faults(book, path in REPORTS), "\n".join(faults(book, path in REPORTS))


def test_every_report_notebook_is_found():
    assert {path.stem for path in REPORTS} >= {"comparison", "evaluation", "hung_yen", "programme"}


def test_the_rules_see_what_they_forbid():
    book = nbformat.v4.new_notebook()
    long = "x = 1\n" * (LONGEST + 1)
    book.cells = [
        nbformat.v4.new_code_cell("def f():\n    return 1", execution_count=1),
        nbformat.v4.new_code_cell(long),
    ]
    found = " ".join(faults(book, True))
    for words in (
        "defines",
        "21 lines",
        "no prose before",
        "never run",
        "no prose after",
        "0 cells",
    ):
        assert words in found

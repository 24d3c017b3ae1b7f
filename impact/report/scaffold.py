"""A new evaluation: a plan to fill in, every line explained."""

from __future__ import annotations

import datetime
import os
from importlib import resources
from pathlib import Path

from impact.errors import ReportError
from impact.evaluation import is_evaluation_id

__all__ = ["new_evaluation"]

NOTEBOOK = Path("notebooks") / "evaluation.ipynb"


def new_evaluation(name: str, root: Path, today: datetime.date) -> Path:
    """Write a plan to fill in, in the folder reports/NAME; return it.

    Raises
    ------
    ReportError : the name cannot be one, there is one already, the project has no evaluation
        notebook, or the folder cannot be written
    """
    if not is_evaluation_id(name):
        raise ReportError(
            f'"{name}" cannot name an evaluation: use small letters, digits and single hyphens, '
            "such as craft-villages-2025. Nothing was written."
        )
    folder = root / "reports" / name
    notebook = root / NOTEBOOK
    if folder.exists():
        raise ReportError(f"{folder} is there already; nothing was written. Choose another name.")
    if not notebook.is_file():
        raise ReportError(
            f"{root} has no {NOTEBOOK}, which the plan would run. Go to the project's folder, or "
            "name it: impact new NAME FOLDER"
        )
    template = resources.files("impact.report") / "templates" / "evaluation.toml"
    filled = (
        template.read_text(encoding="utf-8")
        .replace("{id}", name)
        .replace("{date}", today.isoformat())
        .replace("{notebook}", os.path.relpath(notebook, folder).replace(os.sep, "/"))
    )
    plan = folder / "evaluation.toml"
    try:
        folder.mkdir(parents=True)
        plan.write_text(filled, encoding="utf-8")
    except OSError as error:
        raise ReportError(
            f"{folder} cannot be written ({error.strerror}). Give yourself the right to write it."
        ) from None
    return plan

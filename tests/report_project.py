"""Small projects in folders of their own: a plan, its data, and the notebook it names."""

import json
import shutil
from pathlib import Path

from impact.evaluation import Evaluation, file_sha256

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

PLAN = """
[evaluation]
id = "small"
title = {{ en = "Small", vi = "Nhỏ" }}
notebook = "small.ipynb"
data_kind = "simulated"
date = 2024-01-31

[question]
text = {{ en = "What?", vi = "Gì?" }}

[parameters]
{parameters}
"""

PARAMETERS = 'evaluation = ""  # the plan\ncount = 3  # jobs\nshare: float = 0.5\n'

COMPUTE = """
import warnings
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from impact.evaluation import Evaluation
from impact.report import Column, Record, report_style, text

plan = Evaluation.read(evaluation)
record = Record.of(plan)
draws = np.random.default_rng(plan.inference["seed"]).normal(size=1000)
record.value("jobs", count, "jobs", text("Jobs", "Việc làm"))
record.value("mean", share + draws.mean(), "ratio", text("Mean", "Trung bình"))
warnings.warn("a warning of the notebook", stacklevel=1)
object()
"""

WRITE = """
with plt.rc_context(report_style()):
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.plot(draws[:20])
    ax.set_title("Việc làm được giữ")
frame = pd.DataFrame({"year": [2011, 2010], "mean": draws[:2]})
record.section(
    "results",
    text("Results", "Kết quả"),
    text("The projects kept {jobs}; the mean is {mean}.", "Giữ {jobs}; trung bình {mean}."),
    record.table(
        "draws",
        frame,
        text("Draws", "Mẫu"),
        {"year": Column(text("Year", "Năm"), "year"), "mean": Column(text("Mean", "TB"), "ratio")},
    ),
    record.figure("path", figure, text("Draws & <all>", "Mẫu"), text('A "line"', "Một đường")),
)
record.write()
"""


def code(source, *tags):
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"cell{abs(hash(source)) % 10**6}",
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": source,
    }


def write_notebook(path: Path, *sources, parameters=PARAMETERS):
    cells = [code(parameters, "parameters"), *(code(source) for source in sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4}
    path.write_text(json.dumps(notebook | {"nbformat_minor": 5}), encoding="utf-8")
    return path


def make_project(root: Path, *sources, parameters=""):
    """Write a plan and a notebook; return the plan's folder."""
    folder = root / "small"
    folder.mkdir(parents=True)
    write_notebook(folder / "small.ipynb", *(sources or (COMPUTE, WRITE)))
    plan = PLAN.format(parameters=parameters)
    (folder / "evaluation.toml").write_text(plan, encoding="utf-8")
    return folder


def write_data_project(folder, plan, frame, data, notebook="evaluation.ipynb"):
    """Write a frame, a plan whose "SHA" is its hash, and a notebook of ours; return the plan."""
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / data, index=False)
    shutil.copy(NOTEBOOKS / notebook, folder)
    words = plan.replace("SHA", file_sha256(folder / data))
    (folder / "evaluation.toml").write_text(words, encoding="utf-8")
    return Evaluation.read(folder)


def stating_more(plan, root, words):
    """Copy a project, its reports left behind, and let its plan say more; return the plan."""
    folder = root / plan.folder.name
    folder.mkdir()
    for file in [plan.notebook, *plan.files.values()]:
        shutil.copy(file, folder)
    text = plan.path.read_text(encoding="utf-8") + words
    (folder / "evaluation.toml").write_text(text, encoding="utf-8")
    return Evaluation.read(folder)

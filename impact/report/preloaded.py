"""Reports at the speed of a fork: a process that has everything loaded makes one child a report.

Starting a kernel and importing pandas, scipy and matplotlib takes seconds; the report itself a
fraction of one. The process here starts once, in the environment of a report's kernel, loads all
that a report needs and then waits for plans. Each is built by a child of its own, forked from the
same clean state, so no report sees anything of another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from impact.errors import ImpactError, ReportError
from impact.evaluation import Evaluation
from impact.report.environment import kernel_environment

__all__ = ["Built", "Preloaded", "can_fork"]

LONGEST = 1800
"""Seconds after which a child is ended."""


@dataclass(frozen=True)
class Built:
    """How a report's build ended: its seconds, and the error that stopped it, if one did."""

    seconds: float
    error: str | None = None


def can_fork() -> bool:
    """Tell whether processes can be forked here; they cannot on Windows."""
    return hasattr(os, "fork")


class Preloaded:
    """A process with everything loaded, which builds reports one after another.

    Parameters
    ----------
    plan : a plan like those that will be built; its date is the one stamped into figures

    Raises
    ------
    ReportError : the process ended by itself
    """

    def __init__(self, plan: Evaluation) -> None:
        self._private = tempfile.TemporaryDirectory(prefix="impact-preloaded-")
        home = Path(self._private.name)
        self._log = (home / "log").open("wb+")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "impact.report.preloaded", str(plan.path.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=kernel_environment(home, home, plan.date),
        )
        self._ask = TextIOWrapper(cast("BinaryIO", self._process.stdin), encoding="utf-8")
        self._answer = TextIOWrapper(cast("BinaryIO", self._process.stdout), encoding="utf-8")

    @property
    def is_running(self) -> bool:
        """Tell whether the process still waits for plans."""
        return self._process.poll() is None

    def build(self, plan: Path) -> Built:
        """Build the report of the plan in that file."""
        try:
            self._ask.write(json.dumps(str(plan.resolve())) + "\n")
            self._ask.flush()
            line = self._answer.readline()
        except OSError:
            line = ""
        if not line:
            raise ReportError(
                f"the process that builds reports ended while building {plan}. Its last words "
                f"were: {self._last_words()}"
            )
        return Built(**json.loads(line))

    def close(self) -> None:
        """End the process; a report being built is completed."""
        with suppress(BrokenPipeError):
            self._ask.close()
        self._process.wait()
        self._answer.close()
        self._log.close()
        self._private.cleanup()

    def __enter__(self) -> Preloaded:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").strip()[-500:] or "none"


def _serve() -> None:
    """Answer each plan on standard input with how its build ended, until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _load(Evaluation.read(sys.argv[1]))
    for line in sys.stdin:
        started = time.perf_counter()
        error = _build_in_child(json.loads(line))
        answer = {"seconds": round(time.perf_counter() - started, 3), "error": error}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _load(plan: Evaluation) -> None:
    """Import what every report of such a plan needs, so that children are born with it.

    Of this package that is what the notebook imports and the estimators that the plan names, no
    more: a report's manifest lists what its process has loaded.
    """
    import importlib

    for module in (
        "IPython.core.completer",
        "IPython.core.completerlib",
        "IPython.core.application",
        "IPython.core.crashhandler",
        "IPython.core.logger",
        "IPython.core.oinspect",
        "PIL.PngImagePlugin",
        "brotli",
        "fontTools.subset",
        "fontTools.ttLib.woff2",
        "impact.report.build",
        "impact.report.docx",
        "impact.report.document",
        "impact.report.effects",
        "impact.report.html",
        "impact.report.pdf",
        "impact.report.cost",
        "impact.report.families",
        "impact.report.subgroups",
        "ipykernel.zmqshell",
        "jinja2",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
        "matplotlib.pyplot",
        "matplotlib_inline.backend_inline",
        "pandas.core.methods.to_dict",
        "pandas.io.formats.html",
        "pandas.io.formats.string",
        "papermill",
        "pyarrow.pandas_compat",
        "scipy.optimize",
        "scipy.stats",
    ):
        importlib.import_module(module)
    import nbformat

    from impact.estimators import ESTIMATORS
    from impact.report.figures import report_style
    from impact.report.html import page_fonts, report_template

    nbformat.validate(nbformat.v4.new_notebook())
    report_style()
    page_fonts("")
    report_template()
    _run_imports(plan.notebook)
    estimation = plan.estimation
    for entry in (estimation, *estimation["beside"]):
        if entry.get("estimator") in ESTIMATORS:
            importlib.import_module(ESTIMATORS[entry["estimator"]])


def _run_imports(notebook: Path) -> None:
    """Run the import statements of a notebook; what cannot be imported its report will say."""
    import ast

    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        with suppress(SyntaxError):
            for statement in ast.parse("".join(cell["source"])).body:
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    with suppress(Exception):
                        exec(ast.unparse(statement), {})


def _build_in_child(plan: str) -> str | None:
    """Build a report in a child; return the error that stopped it, None if none did."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _build_and_end(Path(plan), writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        error = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return (
            f"the build was ended by signal {os.WTERMSIG(status)} (9: out of memory, as a rule; "
            f"14: it took longer than {LONGEST} s)."
        )
    return error or None


def _build_and_end(plan: Path, writing: int) -> None:
    """Build a report, write the error if there is one, and end this process."""
    import signal

    from impact.report.build import build_report

    signal.alarm(LONGEST)
    words = ""
    try:
        build_report(Evaluation.read(plan), progress=False, here=True)
    except ImpactError as error:
        words = str(error)
    except BaseException as error:
        words = f"{type(error).__name__}: {error}"
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        pipe.write(words)
    os._exit(0)


if __name__ == "__main__":
    _serve()

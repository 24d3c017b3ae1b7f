"""The command line: build, check and verify reports, write and freeze plans.

Exit codes
----------
0   done; every report checked is identical
1   a build failed (a cell raised, a folder could not be written); of a matrix, at least one
2   a plan, its data or the command is invalid
3   published files differ from what the same inputs give
4   plan, notebook or data changed since the report was published
5   a rebuild differs, and so does the environment (code, lock or interpreter)
6   a notebook gives other outputs when it is run again
129, 130, 143 ended by a closed terminal, an interruption, a termination

With several plans, all are tried and the largest code is returned.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from impact.errors import ImpactError, LedgerError, ReportError, SpecError, listing

__all__ = ["main"]

_CHECK_CODES = {"identical": 0, "altered": 3, "outdated": 4, "environment": 5}
_CHECK_WORDS = {
    "identical": "identical",
    "altered": "differs from what the same inputs give",
    "outdated": "was published from other inputs",
    "environment": "differs, and so does the environment",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    received = _signals_unwind()
    code = 0
    try:
        code = _guarded(partial(given.run, given))
    except KeyboardInterrupt:
        received = received or [signal.SIGINT]
    except Exception:
        # What fails because a signal came is no failure of its own.
        if not received:
            raise
    if received:
        print("impact: interrupted; what was there before is untouched", file=sys.stderr)
        return 128 + received[0]
    return code


def _signals_unwind() -> list[int]:
    """Make signals that end a program unwind it, so that nothing is left; list those that came."""
    received: list[int] = []

    def unwind(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), unwind)
    return received


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="impact",
        description="Impact evaluation on panel data: reports that can be rebuilt byte for byte.",
        epilog=(__doc__ or "").partition("Exit codes")[2].replace("----------", "exit codes:"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    report = commands.add_parser("report", help="build reports from their plans, or check them")
    report.add_argument(
        "plans", nargs="+", metavar="PLAN", help="an evaluation.toml, or the folder that holds one"
    )
    report.add_argument(
        "--check", action="store_true", help="rebuild in a temporary folder and compare the bytes"
    )
    report.add_argument("--force", action="store_true", help="build even what is up to date")
    report.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_junit(report)
    report.set_defaults(run=_report)
    matrix = commands.add_parser("matrix", help="build a report for each province, or other value")
    matrix.add_argument("plan", metavar="PLAN")
    matrix.add_argument(
        "--over", required=True, metavar="NAME", help="a column of the data, or a parameter"
    )
    matrix.add_argument(
        "--values", nargs="+", metavar="VALUE", help="default: all those of the column"
    )
    matrix.add_argument(
        "--jobs", type=int, default=-1, help="reports built at a time; default: one a processor"
    )
    matrix.add_argument(
        "--scheduler", metavar="ADDRESS", help="build on the workers of this Dask scheduler"
    )
    matrix.add_argument("--force", action="store_true", help="build even what is up to date")
    matrix.add_argument("--quiet", action="store_true", help="no progress bar")
    matrix.set_defaults(run=_matrix)
    check = commands.add_parser("check", help="say everything that is wrong with plans")
    check.add_argument("plans", nargs="+", metavar="PLAN")
    _add_junit(check)
    check.set_defaults(run=_check_plans)
    plan = commands.add_parser("plan", help="freeze a plan, or show how it differs since")
    plan.add_argument("action", choices=("freeze", "diff"))
    plan.add_argument("plan", metavar="PLAN")
    plan.set_defaults(run=_plan)
    new = commands.add_parser("new", help="write a plan to fill in, in reports/NAME")
    new.add_argument("name", metavar="NAME")
    new.add_argument("folder", nargs="?", default=".", help="the project's folder")
    new.set_defaults(run=_new)
    verify = commands.add_parser("verify", help="compare a report's files with its manifest")
    verify.add_argument("folder", metavar="FOLDER")
    _add_junit(verify)
    verify.set_defaults(run=_verify)
    rerun = commands.add_parser("reprun", help="run a notebook twice and name unstable cells")
    rerun.add_argument("notebook", metavar="NOTEBOOK")
    rerun.add_argument("--quiet", action="store_true", help="no progress bar")
    rerun.set_defaults(run=_rerun)
    template = commands.add_parser("template", help="write an empty ledger of projects to fill in")
    template.add_argument("workbook", metavar="WORKBOOK", help="an .xlsx that does not exist yet")
    template.add_argument("--lang", choices=("vi", "en"), default="vi", help="default: vi")
    template.set_defaults(run=_template)
    ledger = commands.add_parser("ledger", help="check a ledger of projects, cell by cell")
    ledger.add_argument("file", metavar="FILE", help="a workbook, CSV, Stata or Parquet file")
    ledger.add_argument("--lang", choices=("vi", "en"), default="vi", help="default: vi")
    ledger.set_defaults(run=_ledger)
    package = commands.add_parser("package", help="write a report's replication package")
    package.add_argument("plan", metavar="PLAN")
    package.set_defaults(run=_package)
    lab = commands.add_parser("lab", help="open the tutorials in JupyterLab")
    lab.add_argument("folder", nargs="?", default=".", help="the project's folder")
    lab.set_defaults(run=_lab)
    lists = commands.add_parser("list", help="show evaluations, notebooks, datasets and estimators")
    lists.add_argument("folder", nargs="?", default=".", help="the project's folder")
    lists.set_defaults(run=_list)
    return parser


def _add_junit(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--junit", type=Path, metavar="FILE", help="write what was found as JUnit XML too"
    )


def _guarded(command: Callable[[], int]) -> int:
    """Run a command; print an error of ours and return its code."""
    try:
        return command()
    except ImpactError as error:
        print(f"impact: {error}", file=sys.stderr)
        failed = isinstance(error, ReportError) and not isinstance(error, SpecError)
        return 1 if failed else 2
    except BrokenPipeError:
        # The reader, head for instance, has seen enough; Python's own flush at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _template(given: argparse.Namespace) -> int:
    """Write an empty ledger."""
    from impact.ledger import write_template

    print(f"Fill in {write_template(given.workbook, given.lang)}, then: impact ledger FILE")
    return 0


def _ledger(given: argparse.Namespace) -> int:
    """Print what is wrong with a ledger, errors first; end with 2 if there are any."""
    from impact.ledger import read_ledger

    try:
        ledger = read_ledger(given.file)
    except LedgerError as error:
        raise LedgerError(error.vi if given.lang == "vi" and error.vi else str(error)) from error
    for finding in sorted(ledger.findings, key=lambda found: found.severity):
        print(f"{finding.severity:8} {finding.where}: {finding.text(given.lang)}")
    print(ledger)
    return 2 if len(ledger.findings.errors) else 0


def _report(given: argparse.Namespace) -> int:
    command = _check if given.check else _build
    suite = "impact report --check" if given.check else "impact report"
    return _each(suite, given.plans, partial(command, given=given), given)


def _each(
    suite: str, names: Sequence[str], command: Callable[[str], int], given: argparse.Namespace
) -> int:
    """Run a command for each name, none stopping the others; return the largest code."""
    if given.junit is None:
        codes = [_guarded(partial(command, name)) for name in names]
    else:
        from impact.report.junit import run_case, write_junit

        cases = [run_case(name, partial(_guarded, partial(command, name))) for name in names]
        write_junit(given.junit, suite, cases)
        codes = [case.code for case in cases]
    failed = [name for name, code in zip(names, codes, strict=True) if code]
    if failed and len(names) > 1:
        print(
            f"{suite}: {len(failed)} of {len(names)} failed: {listing(failed, 12)}", file=sys.stderr
        )
    return max(codes)


def _matrix(given: argparse.Namespace) -> int:
    """Build a report for each value of a column or parameter; end with 1 if one failed."""
    from impact.evaluation import Evaluation
    from impact.report.matrix import build_matrix

    plan = Evaluation.read(given.plan)
    started = time.perf_counter()
    matrix = build_matrix(
        plan,
        given.over,
        given.values,
        jobs=given.jobs,
        force=given.force,
        progress=not given.quiet,
        scheduler=given.scheduler,
    )
    for cell in matrix.having("failed"):
        print(f"{cell.value}: {cell.error}", file=sys.stderr)
    seconds = time.perf_counter() - started
    print(f"{plan.id} by {given.over}: {matrix.counts()}, in {seconds:.1f} s.")
    print(f"Open {matrix.folder / 'index.html'}")
    return 1 if matrix.having("failed") else 0


def _lab(given: argparse.Namespace) -> int:
    """Open JupyterLab on the tutorials; return when it ends."""
    import importlib.util
    import subprocess

    tutorials = Path(given.folder) / "notebooks" / "tutorials"
    if not tutorials.is_dir():
        raise SpecError(
            f"there are no tutorials in {tutorials}. Name the project's folder: impact lab FOLDER"
        )
    if importlib.util.find_spec("jupyterlab") is None:
        raise SpecError(
            "JupyterLab is not installed. Install the extra: pip install 'impact-panel[lab]'"
        )
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(tutorials)])


def _build(name: str, given: argparse.Namespace) -> int:
    """Build one report, or say that it is up to date."""
    from impact.evaluation import Evaluation
    from impact.report.build import build_report, is_current, report_page

    plan = Evaluation.read(name)
    if not given.force and is_current(plan):
        print(f"{plan.id}: up to date. Open {report_page(plan)}")
        return 0
    started = time.perf_counter()
    page = build_report(plan, progress=not given.quiet)
    print(f"{plan.id}: built in {time.perf_counter() - started:.1f} s. Open {page}")
    return 0


def _check(name: str, given: argparse.Namespace) -> int:
    """Rebuild one report elsewhere and say whether it is the same."""
    from impact.evaluation import Evaluation
    from impact.report.build import check_report

    plan = Evaluation.read(name)
    checked = check_report(plan, progress=not given.quiet)
    named = f": {listing(checked.differences, 12)}" if checked.differences else ""
    print(f"{plan.id}: {_CHECK_WORDS[checked.verdict]}{named}")
    return _CHECK_CODES[checked.verdict]


def _check_plans(given: argparse.Namespace) -> int:
    """Check plans without running them."""
    from impact.evaluation import Evaluation
    from impact.report.build import check_plan
    from impact.report.remedies import foresee_no_inference

    def check(name: str) -> int:
        plan = Evaluation.read(name)
        check_plan(plan)
        for warning in foresee_no_inference(plan) if plan.estimation else []:
            print(f"{plan.id}: warning: {warning}", file=sys.stderr)
        print(f"{plan.id}: nothing wrong with the plan, its data and its designs")
        return 0

    return _each("impact check", given.plans, check, given)


def _plan(given: argparse.Namespace) -> int:
    """Freeze a plan, or show how it differs from the frozen one."""
    from impact.evaluation import Evaluation
    from impact.report.registration import deviations, freeze_plan

    plan = Evaluation.read(given.plan)
    if given.action == "freeze":
        print(f"{plan.id}: registered as {plan.sha256} in {freeze_plan(plan)}")
        return 0
    found = deviations(plan)
    if found is None:
        print(f"{plan.id}: no plan was frozen. To freeze it: impact plan freeze {plan.path}")
    for entry in found or []:
        print(f"{entry['key']}: {entry['registered'] or '-'} -> {entry['run'] or '-'}")
    if found == []:
        print(f"{plan.id}: the plan is the registered one")
    return 0


def _new(given: argparse.Namespace) -> int:
    """Write a plan to fill in."""
    import datetime

    from impact.report.scaffold import new_evaluation

    plan = new_evaluation(given.name, Path(given.folder), datetime.date.today())
    print(f"Fill in {plan}, then: impact check {plan}")
    return 0


def _verify(given: argparse.Namespace) -> int:
    return _each("impact verify", [given.folder], _verify_folder, given)


def _verify_folder(name: str) -> int:
    """Compare a report's files with its manifest; needs the standard library only."""
    from impact.report.manifest import changed_outputs, read_manifest

    folder = Path(name)
    manifest = read_manifest(folder)
    if manifest is None:
        raise SpecError(f"{folder} holds no manifest.json of a report. Name a report's folder.")
    changed = changed_outputs(manifest, folder)
    missing = [name for name in changed if not (folder / name).exists()]
    altered = [name for name in changed if name not in missing]
    for words, names in (("altered", altered), ("not there", missing)):
        if names:
            print(f"{words}: {listing(names, 12)}")
    right = len(manifest["outputs"]) - len(changed)
    print(f"{manifest['evaluation']}: {right} of {len(manifest['outputs'])} files are as issued")
    return 3 if altered else 0


def _rerun(given: argparse.Namespace) -> int:
    """Run a notebook twice and name the cells that differ."""
    from impact.report.reprun import rerun_notebook

    unstable = rerun_notebook(Path(given.notebook), progress=not given.quiet)
    for cell in unstable:
        print(f"cell {cell.number} differs, likely because of {cell.cause}:")
        print("    " + cell.source.replace("\n", "\n    "))
    if not unstable:
        print("every cell gives the same output twice")
    return 6 if unstable else 0


def _package(given: argparse.Namespace) -> int:
    """Write the replication package of a built report."""
    from impact.evaluation import Evaluation
    from impact.report.package import package_report

    print(f"Replication package: {package_report(Evaluation.read(given.plan))}")
    return 0


def _list(given: argparse.Namespace) -> int:
    """Show what there is, one name a line with its description."""
    from impact import datasets
    from impact.estimators import ESTIMATORS, estimator_class
    from impact.evaluation import Evaluation

    root = Path(given.folder)
    if not root.is_dir():
        raise SpecError(f"there is no folder {root}. Name the project's folder.")
    print("Evaluations")
    for path in sorted(root.glob("reports/*/evaluation.toml")):
        try:
            print(f"  {path.parent}  {Evaluation.read(path).title['en']}")
        except SpecError as error:
            print(f"  {path.parent}  (the plan is invalid: {str(error).splitlines()[0]})")
    print("Notebooks")
    for path in sorted(root.glob("notebooks/**/*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            print(f"  {path}")
    print("Datasets")
    for name in datasets.names():
        print(f"  {name}  {datasets.describe(name).title}")
    print("Estimators")
    for name in ESTIMATORS:
        print(f"  {name}  {(estimator_class(name).__doc__ or '').strip().splitlines()[0]}")
    return 0

"""The command line: ``impact report``, ``impact list``.

Exit codes
----------
0   done; every report checked is identical
1   a build failed (a cell raised, a folder could not be written)
2   a plan, its data or the command is invalid
3   published files differ from what the same inputs give
4   plan, notebook or data changed since the report was published
5   a rebuild differs, and so does the environment (code, lock or interpreter)
130 interrupted

With several plans, all are tried and the largest code is returned.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from impact.errors import ImpactError, SpecError, listing

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
    try:
        code: int = given.run(given)
    except KeyboardInterrupt:
        print("impact: interrupted; what was there before is untouched", file=sys.stderr)
        return 130
    return code


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
    report.set_defaults(run=_report)
    lists = commands.add_parser("list", help="show evaluations, notebooks, datasets and estimators")
    lists.add_argument("folder", nargs="?", default=".", help="the project's folder")
    lists.set_defaults(run=_list)
    return parser


def _report(given: argparse.Namespace) -> int:
    codes = []
    for name in given.plans:
        try:
            codes.append(_check(name, given) if given.check else _build(name, given))
        except SpecError as error:
            print(f"impact: {error}", file=sys.stderr)
            codes.append(2)
        except ImpactError as error:
            print(f"impact: {error}", file=sys.stderr)
            codes.append(1)
    return max(codes)


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


def _list(given: argparse.Namespace) -> int:
    """Show what there is, one name a line with its description."""
    from impact import datasets
    from impact.estimators import ESTIMATORS, estimator_class
    from impact.evaluation import Evaluation

    root = Path(given.folder)
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

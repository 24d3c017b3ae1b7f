"""Build a report from its plan, skip what is up to date, and prove what is committed.

The notebook runs and the files are written in a folder of their own; only when everything is there
do they replace the old ones, each whole, the manifest last. A build that fails leaves the old
report.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impact import datasets
from impact.errors import ImpactError, ReportError, SpecError
from impact.evaluation import LANGUAGES, Evaluation
from impact.report.environment import kernel_environment
from impact.report.manifest import (
    MANIFEST,
    changed_inputs,
    changed_outputs,
    make_manifest,
    notebook_sha256,
    read_manifest,
)
from impact.report.notebook import (
    check_parameters,
    notebook_parameters,
    run_notebook,
    without_outputs,
)
from impact.report.queries import taken_queries
from impact.report.registration import deviations
from impact.report.results import write_json

__all__ = [
    "Checked",
    "build_report",
    "check_plan",
    "check_report",
    "compare_manifests",
    "is_current",
    "report_page",
]

PLAN_PARAMETER = "evaluation"
STAGING = ".building-"


@dataclass(frozen=True)
class Checked:
    """What a rebuild showed.

    Parameters
    ----------
    verdict : "identical"; "altered" (the same inputs give other files than the published ones);
        "outdated" (plan, notebook or data changed since publication); or "environment" (only code,
        lock or interpreter differ, and so do the files)
    differences : the files or inputs concerned
    """

    verdict: Literal["identical", "altered", "outdated", "environment"]
    differences: tuple[str, ...] = ()


def report_page(plan: Evaluation) -> Path:
    """Return the file to open."""
    return plan.folder / "report.html"


def is_current(plan: Evaluation) -> bool:
    """Tell whether the report was made from exactly what is there now, and is complete."""
    manifest = read_manifest(plan.folder)
    return (
        manifest is not None
        and not changed_inputs(manifest, plan)
        and not changed_outputs(manifest, plan.folder)
    )


def build_report(plan: Evaluation, *, progress: bool = True, here: bool = False) -> Path:
    """Run a plan's notebook, write its report beside the plan, and return the page to open.

    ``here`` runs the notebook in this process, which should end afterwards.

    Raises
    ------
    SpecError : the plan, its data or its designs are at fault; all findings at once
    ReportError : a failing cell, a record not written, a folder that cannot be written
    """
    parameters = check_plan(plan)
    with _staging(plan.folder) as folder:
        _write_all(plan, parameters, folder, progress=progress, here=here)
        _publish(folder, plan.folder)
    return report_page(plan)


def check_report(plan: Evaluation, *, progress: bool = True) -> Checked:
    """Rebuild a report in a temporary folder and compare it with the published manifest.

    Raises
    ------
    SpecError : there is no manifest to compare with, or the plan, its data or designs are at fault
    ReportError : the rebuild fails
    """
    published = read_manifest(plan.folder)
    if published is None:
        raise SpecError(
            f"{plan.folder} has no {MANIFEST} to compare with. Build the report first: "
            f"impact report {plan.path}"
        )
    parameters = check_plan(plan)
    with tempfile.TemporaryDirectory(prefix="impact-") as name:
        fresh = _write_all(plan, parameters, Path(name), progress=progress)
    return compare_manifests(published, fresh, plan)


def check_plan(plan: Evaluation) -> dict[str, Any]:
    """Check all that can be checked before a kernel starts; return the notebook's parameters.

    Checked are the formats' extras, parameters, data, designs and what the estimators require;
    where the notebook simulates its data, there are none to check yet.

    Raises
    ------
    SpecError : all findings at once
    """
    from impact.report.cost import check_cost
    from impact.report.effects import check_effects
    from impact.report.families import check_families
    from impact.report.subgroups import check_subgroups

    findings: list[str] = []
    parameters: dict[str, Any] = {}
    try:
        _check_formats(plan)
    except ImpactError as error:
        findings.append(str(error))
    try:
        parameters = _parameters(plan)
        deviations(plan)
    except ImpactError as error:
        findings.append(str(error))
    has_data = plan.data_files or plan.dataset is not None or plan.scan is not None
    makes_its_data = plan.data_kind == "simulated" and not has_data
    if plan.outcomes and not makes_its_data:
        findings += check_effects(plan)
        findings += check_families(plan) + check_subgroups(plan) + check_cost(plan)
    if findings:
        said = (finding.removeprefix(f"{plan.path}: ") for finding in findings)
        raise SpecError("\n- ".join([f"{plan.path} cannot run:", *said]))
    return parameters


def compare_manifests(
    published: dict[str, Any], fresh: dict[str, Any], plan: Evaluation
) -> Checked:
    """Say how a published manifest and a fresh one differ."""
    then, now = published["outputs"], fresh["outputs"]
    differing = sorted(n for n in set(then) | set(now) if then.get(n) != now.get(n))
    if not differing:
        altered = [n for n in changed_outputs(published, plan.folder) if (plan.folder / n).exists()]
        return Checked("altered", tuple(altered)) if altered else Checked("identical")
    changed = changed_inputs(published, plan)
    if any(name.split()[0] in ("plan", "registered", "notebook", "data") for name in changed):
        return Checked("outdated", tuple(changed))
    if changed:
        return Checked("environment", tuple(changed + differing))
    return Checked("altered", tuple(differing))


def _parameters(plan: Evaluation) -> dict[str, Any]:
    """Return the notebook's parameters after checking them, the plan's own place included."""
    declared = notebook_parameters(plan.notebook)
    placed = declared.pop(PLAN_PARAMETER, None) is not None
    check_parameters(plan.parameters, declared, plan.notebook.name)
    if not placed:
        return plan.parameters
    return {PLAN_PARAMETER: _place(plan.path.resolve(), plan.notebook.parent.resolve())} | (
        plan.parameters
    )


def _place(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _as_written(notebook: str, plan: Evaluation, parameters: Mapping[str, Any]) -> str:
    """Return the annex with the plan's place as the project has it, whatever links lead there.

    A process's folder is where links end, so that is what the cells were given.
    """
    given = parameters.get(PLAN_PARAMETER)
    place = _place(plan.path, plan.notebook.parent)
    return notebook if given in (None, place) else notebook.replace(str(given), place)


def _check_formats(plan: Evaluation) -> None:
    """Refuse a format whose extra is not installed, before anything runs."""
    from impact.report.docx import can_write_docx
    from impact.report.pdf import can_write_pdf

    needs = (("pdf", "typst", can_write_pdf), ("docx", "pypandoc-binary", can_write_docx))
    for extra, package, installed in needs:
        if extra in plan.formats and not installed():
            raise ReportError(
                f"{plan.path} asks for {extra}, which needs {package}, which is not installed. "
                f"Install the extra: pip install 'impact-panel[{extra}]'"
            )


def _write_all(
    plan: Evaluation,
    parameters: dict[str, Any],
    folder: Path,
    *,
    progress: bool,
    here: bool = False,
) -> dict[str, Any]:
    """Compute and render everything into an empty folder; return its manifest."""
    from impact.report.document import prepare_document
    from impact.report.docx import render_docx
    from impact.report.html import html_name, render_html
    from impact.report.pdf import render_pdf

    with tempfile.TemporaryDirectory(prefix="impact-kernel-") as private:
        run = run_notebook(
            plan.notebook,
            parameters,
            kernel_environment(Path(private), folder.resolve(), plan.date),
            Path(private),
            progress=progress,
            here=here,
        )
    record = folder / "results.json"
    if not record.exists():
        raise ReportError(
            f"notebook {plan.notebook.name} wrote no results. Its last cell must be record.write()."
        )
    results = json.loads(record.read_text(encoding="utf-8"))
    annex = without_outputs(run.notebook) if results["hidden"] else run.notebook
    annex = _as_written(annex, plan, parameters)
    (folder / "notebook.ipynb").write_text(annex, encoding="utf-8")
    results["deviations"] = deviations(plan)
    queries = taken_queries(folder, hidden=bool(results["hidden"]))
    if queries:
        results["queries"] = queries
    write_json(record, results)
    data = {entry["path"]: entry["sha256"] for entry in plan.content["data"]["files"]}
    data |= {name: digest for name, digest in plan.scanned.items() if digest}
    if plan.dataset:
        data[plan.dataset] = datasets.describe(plan.dataset).sha256
    fingerprints = {
        "plan": plan.sha256,
        "notebook": notebook_sha256(plan.notebook),
        "data": data,
    }
    for language in LANGUAGES:
        document = prepare_document(results, language, fingerprints)
        page = Path(html_name(language))
        others = {}
        if "pdf" in plan.formats:
            others["PDF"] = page.with_suffix(".pdf").name
            (folder / others["PDF"]).write_bytes(render_pdf(document, folder))
        if "docx" in plan.formats:
            others["Word"] = page.with_suffix(".docx").name
            (folder / others["Word"]).write_bytes(render_docx(document, folder, plan.date))
        written = render_html(results, folder, language, fingerprints, others)
        (folder / page).write_text(written, encoding="utf-8")
    manifest = make_manifest(plan, run.modules, folder, run.warnings)
    if queries:
        manifest["queries"] = queries
    write_json(folder / MANIFEST, manifest)
    return manifest


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Give a folder inside the target to write into; it is gone afterwards, whatever happened."""
    for stale in target.glob(f"{STAGING}*"):
        if not _is_running(stale.name.removeprefix(STAGING)):
            shutil.rmtree(stale, ignore_errors=True)
    folder = target / f"{STAGING}{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise ReportError(
            f"the folder {target} cannot be written ({error.strerror}), so no report can be put "
            "there. Give yourself the right to write it, or copy the plan to another folder."
        ) from None
    try:
        yield folder
    except OSError as error:
        raise ReportError(
            f"the report could not be written: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}. The report that was there is "
            "untouched. Make room or give the right to write, and build again."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, target: Path) -> None:
    """Move every file to its place, each whole, the manifest last; drop outputs no longer made."""
    before = read_manifest(target)
    made = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    for name in sorted(made, key=lambda name: name.name == MANIFEST):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).replace(target / name)
    for name in (before or {"outputs": {}})["outputs"]:
        if Path(name) not in made:
            (target / name).unlink(missing_ok=True)


def _is_running(number: str) -> bool:
    """Tell whether a process of that number runs."""
    import psutil

    return number.isdigit() and psutil.pid_exists(int(number))

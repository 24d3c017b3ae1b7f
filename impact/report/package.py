"""A replication package: all that a report was made from, with the README data editors ask for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from impact import datasets
from impact.errors import ReportError
from impact.evaluation import Evaluation
from impact.report.manifest import LOCK, MANIFEST, PACKAGE, changed_outputs, read_manifest
from impact.report.registration import REGISTERED

__all__ = ["package_report"]

ZIP_DATE = (1980, 1, 1, 0, 0, 0)
PROJECT_FILES = ("pyproject.toml", LOCK, "Makefile", "README.md", "LICENSE", "CITATION.cff")


def package_report(plan: Evaluation) -> Path:
    """Write the replication package of a built report beside its folder; return the file.

    Raises
    ------
    ReportError : the report is not built, or its files are not those of its manifest, or the
        package is not run from its project
    """
    manifest = read_manifest(plan.folder)
    if manifest is None or changed_outputs(manifest, plan.folder):
        raise ReportError(
            f"{plan.folder} is not a complete report as its manifest has it. Build it first: "
            f"impact report {plan.path}"
        )
    root = PACKAGE.parent
    if not (root / LOCK).is_file() or not plan.folder.resolve().is_relative_to(root):
        raise ReportError(
            f"a replication package needs the project around {plan.folder}: {LOCK}, the package "
            "and the notebook. Run it from a clone of the project."
        )
    files = _files(plan, manifest, root)
    target = plan.folder.parent / f"{plan.id}-replication.zip"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        contents = {name: (root / name).read_bytes() for name in files}
        contents["REPLICATION.md"] = _readme(plan, manifest).encode("utf-8")
        for name, content in sorted(contents.items()):
            member = zipfile.ZipInfo(f"{plan.id}/{name}", date_time=ZIP_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    target.write_bytes(packed.getvalue())
    return target


def _files(plan: Evaluation, manifest: dict[str, Any], root: Path) -> list[str]:
    """List the project's files that a replication needs, relative to the project."""
    folder = plan.folder.resolve()
    paths = [folder / name for name in [plan.path.name, MANIFEST, *manifest["outputs"]]]
    paths += [path.resolve() for path in (plan.notebook, *plan.files.values())]
    paths += [path.resolve() for path in plan.scanned_files]
    paths += [root / name for name in PROJECT_FILES]
    paths += [folder / REGISTERED]
    paths += [p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted({str(path.relative_to(root)) for path in paths if path.is_file()})


def _readme(plan: Evaluation, manifest: dict[str, Any]) -> str:
    """Write the README of the package from the plan and the manifest."""
    key = manifest["key"]
    data = [f"- `{name}`: sha256 `{digest}`" for name, digest in key["data"].items()]
    if plan.dataset is not None:
        about = datasets.describe(plan.dataset)
        data.append(
            f"- data set `{plan.dataset}`: {about.title}. {about.description} Source: "
            f"{about.source}. Licence: {about.licence}. sha256 of its values `{about.sha256}`."
        )
    outputs = [f"| `{name}` | `{digest}` |" for name, digest in manifest["outputs"].items()]
    seed = plan.inference["seed"]
    return "\n".join(
        [
            f"# Replication package: {plan.title['en']}",
            "",
            f"Question: {plan.question['en']}",
            "",
            "## Data: availability and provenance",
            "",
            *data,
            "",
            f"Kind of data: {plan.data_kind}. Whoever redistributes this package answers for the "
            "right to do so; small cells are the responsibility of the plan's authors.",
            "",
            "## Computational requirements",
            "",
            f"Python {key['python']} and the packages of `{LOCK}`, each fixed by hash "
            f"(sha256 of the file: `{key['lock']}`). No other software. One processor is enough.",
            "",
            "## Controlled randomness",
            "",
            f"One seed, {seed}, in `evaluation.toml`; one thread, one hash seed.",
            "",
            "## Programs",
            "",
            f"`notebooks/{plan.notebook.name}` computes, from the parameters of "
            f"`reports/{plan.id}/evaluation.toml`; the package `impact/` writes the report.",
            "",
            "## Instructions to replicators",
            "",
            "```sh",
            "make report  # set up and build",
            f"impact report reports/{plan.id}/evaluation.toml --check  # compare every byte",
            f"impact verify reports/{plan.id}  # the files against the manifest",
            "```",
            "",
            "## Outputs and their fingerprints",
            "",
            "Every number of the text is in `results.json` by name; every table is a CSV file.",
            "",
            "| file | sha256 |",
            "|---|---|",
            *outputs,
            "",
        ]
    )

"""The manifest: hashes of everything a report was made from, and of everything it is.

It holds no clock and no path of a machine, so the same plan, data, code and lock give the same
manifest anywhere. What the code was is known file by file: only the files that the build loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import impact
from impact.errors import ReportError, plural
from impact.evaluation import Evaluation, file_sha256
from impact.report.registration import REGISTERED

__all__ = [
    "MANIFEST",
    "changed_inputs",
    "changed_outputs",
    "key_of",
    "make_manifest",
    "notebook_sha256",
    "read_manifest",
]

MANIFEST = "manifest.json"
SCHEMA = "impact.manifest/1"
PACKAGE = Path(impact.__file__).parent
LOCK = "requirements.lock"


def key_of(plan: Evaluation, code: Iterable[str]) -> dict[str, Any]:
    """Return the hashes of all a report is made from.

    Parameters
    ----------
    plan : the evaluation plan
    code : the package's files that matter, relative to the package
    """
    lock = _lock_file(plan.folder)
    return {
        "code": {name: _hash_or_none(PACKAGE / name) for name in sorted(code)},
        "data": {
            os.path.relpath(path, plan.folder).replace(os.sep, "/"): _hash_or_none(path)
            for path in plan.files.values()
        }
        | plan.scanned,
        "lock": None if lock is None else file_sha256(lock),
        "notebook": notebook_sha256(plan.notebook),
        "plan": plan.sha256,
        "registered": _hash_or_none(plan.folder / REGISTERED),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def make_manifest(
    plan: Evaluation, modules: Iterable[Path], folder: Path, warnings: Iterable[str]
) -> dict[str, Any]:
    """Return the manifest of the outputs in a folder.

    Raises
    ------
    ReportError : the kernel ran another copy of the package, whose code could not be vouched for
    """
    files = list(modules)
    foreign = [path for path in files if not path.is_relative_to(PACKAGE)]
    if foreign:
        raise ReportError(
            f"the notebook ran {plural(len(foreign), 'file')} of another copy of the package, "
            f"first {foreign[0]}; this one lies in {PACKAGE}. A manifest of this code would vouch "
            "for the wrong files. Take out of the notebook what changes sys.path, or uninstall "
            "the other copy."
        )
    loaded = {str(path.relative_to(PACKAGE)) for path in files}
    own = {
        str(path.relative_to(PACKAGE))
        for part in ("report", "evaluation")
        for path in (PACKAGE / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    code = {name.replace(os.sep, "/") for name in loaded | own | {"errors.py"}}
    return {
        "schema": SCHEMA,
        "evaluation": plan.id,
        "key": key_of(plan, code),
        "outputs": {
            str(path.relative_to(folder)).replace(os.sep, "/"): file_sha256(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != MANIFEST
        },
        "warnings": sorted(warnings),
    }


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return a report's manifest, or None where there is none that can be read."""
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(manifest, dict) and manifest.get("schema") == SCHEMA
    return manifest if known else None


def changed_inputs(manifest: dict[str, Any], plan: Evaluation) -> list[str]:
    """Name what the report was made from that is no longer the same."""
    then = manifest["key"]
    now = key_of(plan, then["code"])
    single = ("plan", "registered", "notebook", "lock", "python")
    changed = [name for name in single if then.get(name) != now[name]]
    for kind in ("data", "code"):
        names = sorted(set(then[kind]) | set(now[kind]))
        changed += [f"{kind} {n}" for n in names if then[kind].get(n) != now[kind].get(n)]
    return changed


def changed_outputs(manifest: dict[str, Any], folder: Path) -> list[str]:
    """Name the outputs that are missing or not those of the manifest."""
    return [
        name
        for name, digest in manifest["outputs"].items()
        if _hash_or_none(folder / name) != digest
    ]


def notebook_sha256(path: Path) -> str:
    """Hash what a notebook computes: its cells' sources and tags, not its outputs."""
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = [
        [cell["cell_type"], "".join(cell["source"]), sorted(cell["metadata"].get("tags", []))]
        for cell in content["cells"]
    ]
    return hashlib.sha256(json.dumps(cells, ensure_ascii=False).encode()).hexdigest()


def _hash_or_none(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _lock_file(folder: Path) -> Path | None:
    """Find the lock beside the package or above the plan."""
    above = [parent / LOCK for parent in folder.resolve().parents]
    return next((path for path in [PACKAGE.parent / LOCK, *above] if path.is_file()), None)

"""The registered plan: frozen before the data are read, compared with what is run afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from impact.errors import ReportError, SpecError
from impact.evaluation import Evaluation

__all__ = ["REGISTERED", "deviations", "freeze_plan", "registered_content"]

REGISTERED = "registered.json"
SCHEMA = "impact.plan/1"


def freeze_plan(plan: Evaluation) -> Path:
    """Write what the plan says, with its hash, beside it; return the file.

    Raises
    ------
    SpecError : the plan was frozen before and says something else now
    """
    file = plan.folder / REGISTERED
    before = registered_content(plan)
    if before is not None and before != _plain(plan.content):
        changed = ", ".join(entry["key"] for entry in deviations(plan) or [])
        raise SpecError(
            f"{file} was frozen and the plan differs from it by now ({changed}). A frozen plan is "
            "not replaced: the report lists the differences as deviations. To register anew, "
            "remove the file and say so in its commit."
        )
    content = {"schema": SCHEMA, "sha256": plan.sha256, "plan": _plain(plan.content)}
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(
            f"{file} cannot be written ({error.strerror}), so nothing was registered. Give "
            "yourself the right to write the plan's folder."
        ) from None
    return file


def registered_content(plan: Evaluation) -> dict[str, Any] | None:
    """Return what the frozen plan says, or None where none was frozen.

    Raises
    ------
    SpecError : the file is damaged, or its hash is not that of what it says
    """
    file = plan.folder / REGISTERED
    if not file.exists():
        return None
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        content: dict[str, Any] = stored["plan"]
        agrees = stored["sha256"] == Evaluation(plan.path, content).sha256
    except (OSError, ValueError, KeyError, TypeError):
        agrees, content = False, {}
    if not agrees:
        raise SpecError(
            f"{file} is damaged or was edited: its hash is not that of the plan it holds. Restore "
            "it from the history."
        )
    return content


def deviations(plan: Evaluation) -> list[dict[str, str]] | None:
    """List where the plan differs from the frozen one; None where none was frozen.

    Returns
    -------
    list of {key, registered, run}, values as TOML-like text, "" where there is none
    """
    before = registered_content(plan)
    if before is None:
        return None
    then, now = dict(_leaves(before)), dict(_leaves(_plain(plan.content)))
    return [
        {"key": key, "registered": then.get(key, ""), "run": now.get(key, "")}
        for key in sorted(set(then) | set(now))
        if then.get(key) != now.get(key)
    ]


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan's content as JSON would hold it, dates as text."""
    plain: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return plain


def _leaves(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Walk through the single values of a plan with their dotted names."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(content, list):
        for number, value in enumerate(content, start=1):
            yield from _leaves(value, f"{path}.{number}")
    else:
        yield path, json.dumps(content, ensure_ascii=False)

"""What a plan may say: its sections and keys, their kinds, limits and defaults."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from impact.calendar import OUTCOMES
from impact.errors import near

__all__ = ["ASSIGNMENTS", "CRITERIA", "DATA_KINDS", "LANGUAGES", "PLAN", "Key", "check_table"]

LANGUAGES = ("en", "vi")
DATA_KINDS = ("microdata", "published", "simulated")
TRANSFORMS = ("none", "log")
FORMATS = ("html", "pdf", "docx")
ASSIGNMENTS = ("observational", "randomised", "discontinuity", "instrument")
HEADLINES = ("average", "first_period")
FAMILY_METHODS = ("romano_wolf", "westfall_young", "holm", "q_values")
ANALYSES = ("honest", "placebo_in_time", "leave_one_out")
CURRENCIES = ("VND", "USD")
COSTED = ("job", "worker", "household", "firm", "establishment")
CRITERIA = ("relevance", "coherence", "effectiveness", "efficiency", "impact", "sustainability")


@dataclass(frozen=True)
class Key:
    """What a key of the plan may hold; ``table`` describes nested tables.

    Of a table that is missing the defaults are filled in if it has a default itself.
    """

    kind: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    table: Mapping[str, Key] | None = None


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a string"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "date": ((datetime.date,), "a date such as 1993-07-01"),
    "strings": ((list,), "a list of strings"),
    "text": ((dict,), "a table with a text for each language, {en = ..., vi = ...}"),
    "texts": ((list,), "a list of texts, each {en = ..., vi = ...}"),
    "labels": ((dict,), "a table of texts by class, {class = {en = ..., vi = ...}}"),
    "table": ((dict,), "a table"),
    "tables": ((list,), "a list of tables"),
    "free": ((dict,), "a table"),
}

_OUTCOME = {
    "name": Key("string", required=True),
    "label": Key("text", required=True),
    "unit": Key("string", required=True),
    "transform": Key("string", default="none", choices=TRANSFORMS),
    "primary": Key("boolean", default=False),
    "smallest_effect": Key("number", low=0),
    "series": Key("string", choices=OUTCOMES),
    "data_column": Key("string"),
}

PLAN: dict[str, Key] = {
    "evaluation": Key(
        "table",
        required=True,
        table={
            "id": Key("string", required=True),
            "title": Key("text", required=True),
            "notebook": Key("string", required=True),
            "data_kind": Key("string", required=True, choices=DATA_KINDS),
            "date": Key("date", required=True),
        },
    ),
    "question": Key(
        "table",
        required=True,
        table={
            "text": Key("text", required=True),
            "criteria": Key("strings", default=[], choices=CRITERIA),
        },
    ),
    "data": Key(
        "table",
        default={},
        table={
            "dataset": Key("string"),
            "scan": Key("string"),
            "table": Key("string"),
            "memory_limit": Key("string"),
            "where": Key("free"),
            "files": Key(
                "tables",
                default=[],
                table={
                    "path": Key("string", required=True),
                    "sha256": Key("string", required=True),
                    "beside": Key("boolean"),
                },
            ),
        },
    ),
    "design": Key(
        "table",
        default={},
        table={
            "unit": Key("string"),
            "time": Key("string"),
            "cohort": Key("string"),
            "assignment": Key("string", default="observational", choices=ASSIGNMENTS),
            "treatment": Key("text"),
            "unit_name": Key("text"),
            "unit_singular": Key("text"),
            "anticipation": Key("integer", default=0, low=0),
            "always_treated": Key("string", default="refuse", choices=("refuse", "drop")),
            "never_treated": Key("number"),
            "clusters": Key("string"),
            "assigned_by": Key("string"),
            "covariates": Key("strings", default=[]),
            "weights": Key("string"),
        },
    ),
    "outcomes": Key("tables", default=[], table=_OUTCOME),
    "estimation": Key(
        "table",
        default={},
        table={
            "estimator": Key("string"),
            "settings": Key("free", default={}),
            "headline": Key("string", default="average", choices=HEADLINES),
            "beside": Key(
                "tables",
                default=[],
                table={
                    "estimator": Key("string", required=True),
                    "settings": Key("free", default={}),
                },
            ),
        },
    ),
    "textbook": Key(
        "table",
        table={
            "source": Key("text", required=True),
            "treatment": Key("string", required=True),
            "estimator": Key("string", required=True),
            "settings": Key("free", default={}),
            "clustered": Key("free", default={}),
            "differs": Key("text", required=True),
            "regressions": Key(
                "tables",
                required=True,
                table={
                    "outcome": Key("string", required=True),
                    "covariates": Key("strings", default=[]),
                },
            ),
        },
    ),
    "inference": Key(
        "table",
        default={},
        table={
            "level": Key("number", default=0.95, low=0.5, high=0.999),
            "draws": Key("integer", default=999, low=99),
            "seed": Key("integer", default=1, low=0),
        },
    ),
    "families": Key(
        "tables",
        table={
            "label": Key("text", required=True),
            "outcomes": Key("strings", required=True),
            "method": Key("string", default="romano_wolf", choices=FAMILY_METHODS),
        },
    ),
    "subgroups": Key(
        "tables",
        table={
            "by": Key("string", required=True),
            "label": Key("text", required=True),
            "classes": Key("labels"),
        },
    ),
    "robustness": Key(
        "table",
        table={"analyses": Key("strings", required=True, choices=ANALYSES)},
    ),
    "cost": Key(
        "table",
        table={
            "outcome": Key("string", required=True),
            "spent": Key("number", low=1),
            "currency": Key("string", default="VND", choices=CURRENCIES),
            "unit": Key("string", default="job", choices=COSTED),
            "scale": Key("number", low=0),
            "displacement": Key("number", default=0.0, low=0, high=0.99),
            "price_base": Key("integer"),
        },
    ),
    "reading": Key(
        "table",
        default={},
        table={
            "credibility": Key("text"),
            "reasons": Key("texts", default=[]),
            "cost": Key("text"),
            "caveats": Key("texts", default=[]),
            "unknown": Key("texts", default=[]),
        },
    ),
    "report": Key(
        "table",
        default={},
        table={
            "formats": Key("strings", default=["html"], choices=FORMATS),
            "smallest_cell": Key("integer", default=3, low=1),
            "withheld": Key("strings"),
        },
    ),
    "parameters": Key("free", default={}),
}


def check_table(
    raw: Mapping[str, Any], keys: Mapping[str, Key], place: str, findings: list[str]
) -> dict[str, Any]:
    """Check a table against its keys, append what is wrong, and fill in the defaults."""
    named = f"[{place}]" if place else "the plan"
    for unknown in (name for name in raw if name not in keys):
        findings.append(
            f'{named} has no key "{unknown}". {near(unknown, keys)}Known: {", ".join(keys)}.'
        )
    content: dict[str, Any] = {}
    for name, key in keys.items():
        path = f"{place}.{name}" if place else name
        if name not in raw:
            if key.required:
                findings.append(f"{path} is missing; it must be {_KINDS[key.kind][1]}.")
            elif key.kind == "table" and key.default is not None:
                content[name] = check_table({}, key.table or {}, path, findings)
            elif key.default is not None:
                content[name] = key.default
            continue
        content[name] = _check_value(raw[name], key, path, findings)
    return content


def _check_value(value: Any, key: Key, path: str, findings: list[str]) -> Any:
    """Check one value, nested tables included."""
    types, wanted = _KINDS[key.kind]
    fits: bool = isinstance(value, types) and isinstance(value, bool) == (key.kind == "boolean")
    if not fits:
        findings.append(f"{path} must be {wanted}; it is {value!r}.")
        return value
    if key.kind == "table":
        return check_table(value, key.table or {}, path, findings)
    if key.kind == "tables":
        return [
            _check_value(entry, Key("table", table=key.table), f"{path}.{number}", findings)
            for number, entry in enumerate(value, start=1)
        ]
    if key.kind == "texts":
        return [
            _check_value(entry, Key("text"), f"{path}.{number}", findings)
            for number, entry in enumerate(value, start=1)
        ]
    if key.kind == "labels":
        return {
            name: _check_value(entry, Key("text"), f"{path}.{name}", findings)
            for name, entry in value.items()
        }
    if key.kind == "text":
        missing = [code for code in LANGUAGES if not str(value.get(code, "")).strip()]
        if missing or set(value) - set(LANGUAGES):
            findings.append(
                f"{path} must have a text for each of {', '.join(LANGUAGES)}; it has "
                f"{', '.join(sorted(value)) or 'none'}."
            )
        return value
    if key.kind == "strings" and not all(isinstance(entry, str) for entry in value):
        findings.append(f"{path} must be a list of strings; it is {value!r}.")
    elif key.choices:
        for entry in value if isinstance(value, list) else [value]:
            if entry not in key.choices:
                findings.append(
                    f'{path} may be {", ".join(key.choices)}; it is "{entry}". '
                    f"{near(entry, key.choices)}".rstrip()
                )
    below = key.low is not None and value < key.low
    if below or (key.high is not None and value > key.high):
        limits = f"at least {key.low}" if key.high is None else f"from {key.low} to {key.high}"
        findings.append(f"{path} must be {limits}; it is {value!r}.")
    return value

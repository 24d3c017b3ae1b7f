"""The evaluation plan: ``evaluation.toml``, read, validated as a whole, and hashed.

The plan is both the pre-analysis plan and the configuration of the report: what it says is what
runs. Every finding about a plan is reported at once, each with its place and remedy.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impact import datasets
from impact.errors import SpecError, listing, near
from impact.estimators import ESTIMATORS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DATA_KINDS", "LANGUAGES", "Evaluation", "Outcome", "file_sha256"]

LANGUAGES = ("en", "vi")
DATA_KINDS = ("microdata", "published", "simulated")
TRANSFORMS = ("none", "log")
FORMATS = ("html", "pdf")
HEADLINES = ("average", "first_period")
CRITERIA = ("relevance", "coherence", "effectiveness", "efficiency", "impact", "sustainability")


@dataclass(frozen=True)
class Outcome:
    """An outcome the plan names.

    Parameters
    ----------
    name : the column
    label : what it is, in each language
    unit : the unit of its level, as the report writes it
    transform : "none", or "log", after which effects are read in percent
    primary : whether the question is answered by it
    smallest_effect : smallest effect of interest, as a share for logarithms, else in the unit
    """

    name: str
    label: dict[str, str]
    unit: str
    transform: str = "none"
    primary: bool = False
    smallest_effect: float | None = None

    @property
    def column(self) -> str:
        """The column the estimators see: the outcome, or its logarithm."""
        return self.name if self.transform == "none" else f"{self.transform}_{self.name}"

    @property
    def is_relative(self) -> bool:
        """Whether effects are read in percent of the outcome."""
        return self.transform == "log"


@dataclass(frozen=True)
class Evaluation:
    """A validated evaluation plan.

    Parameters
    ----------
    path : the plan's file
    content : the plan as parsed, with the defaults filled in

    Notes
    -----
    Paths in a plan are relative to the plan's own folder, which is also where its report goes.

    Example
    -------
    >>> plan = Evaluation.read("reports/michigan-grants/evaluation.toml")
    >>> plan.design["anticipation"]
    0
    """

    path: Path
    content: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, path: str | Path) -> Evaluation:
        """Read and validate a plan.

        Raises
        ------
        SpecError : the file is missing, is no TOML, or says something that cannot be: all
            findings at once
        """
        file = Path(path)
        if file.is_dir():
            file = file / "evaluation.toml"
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            beside = sorted(p.parent.name for p in file.parent.parent.glob("*/evaluation.toml"))
            raise SpecError(
                f"there is no plan {file}. {near(file.parent.name, beside)}"
                f"{'Plans beside it: ' + listing(beside, 9) + '. ' if beside else ''}"
                "Name a file evaluation.toml, or the folder that holds one."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpecError(f"{file} is no TOML: {error}. Mend that line.") from None
        findings: list[str] = []
        content = _check_table(raw, PLAN, "", findings)
        if not findings:
            _check_files(content, file, findings)
        if findings:
            raise SpecError(_listed(file, findings))
        return cls(file, content)

    @property
    def folder(self) -> Path:
        """The folder of the plan and of its report."""
        return self.path.parent

    @property
    def id(self) -> str:
        """The evaluation's name: that of its folder."""
        return str(self.content["evaluation"]["id"])

    @property
    def title(self) -> dict[str, str]:
        """The title in each language."""
        return dict(self.content["evaluation"]["title"])

    @property
    def question(self) -> dict[str, str]:
        """The question in each language."""
        return dict(self.content["question"]["text"])

    @property
    def data_kind(self) -> str:
        """What the numbers rest on: "microdata", "published" or "simulated"."""
        return str(self.content["evaluation"]["data_kind"])

    @property
    def date(self) -> datetime.date:
        """The plan's date: the data's cut-off, never the day of a build."""
        day: datetime.date = self.content["evaluation"]["date"]
        return day

    @property
    def notebook(self) -> Path:
        """The notebook that computes."""
        return self.folder / str(self.content["evaluation"]["notebook"])

    @property
    def dataset(self) -> str | None:
        """The dataset's name, where the data ship with a dependency."""
        name: str | None = self.content["data"].get("dataset")
        return name

    @property
    def files(self) -> dict[str, Path]:
        """The data files by their names."""
        paths = [self.folder / entry["path"] for entry in self.content["data"]["files"]]
        return {path.name: path for path in paths}

    @property
    def design(self) -> dict[str, Any]:
        """The columns and settings of the design."""
        return dict(self.content["design"])

    @property
    def estimation(self) -> dict[str, Any]:
        """The main estimator, its settings, and the estimators shown beside it."""
        return dict(self.content["estimation"])

    @property
    def inference(self) -> dict[str, Any]:
        """Level, draws and seed."""
        return dict(self.content["inference"])

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes in the plan's order."""
        return tuple(Outcome(**entry) for entry in self.content["outcomes"])

    @property
    def reading(self) -> dict[str, Any]:
        """What people add to the numbers: credibility and its reasons, cost, caveats, unknowns."""
        return dict(self.content["reading"])

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of the report; HTML is always among them."""
        return ("html", *(f for f in self.content["report"]["formats"] if f != "html"))

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the notebook."""
        return dict(self.content["parameters"])

    def load(self) -> pd.DataFrame:
        """Load the plan's data, with a column for each transformed outcome.

        Raises
        ------
        SpecError : the plan names neither a data set nor exactly one CSV file, an outcome is no
            column, or a logarithm is asked of numbers that are not positive
        """
        import numpy as np
        import pandas as pd

        if self.dataset is not None:
            frame = datasets.load(self.dataset)
        elif len(self.files) == 1:
            frame = pd.read_csv(next(iter(self.files.values())))
        else:
            raise SpecError(
                f"{self.path}: [data] names {len(self.files)} files and no dataset; an evaluation "
                "needs one table of units by time. Name it as data.dataset or one data.files."
            )
        for outcome in self.outcomes:
            if outcome.name not in frame.columns:
                raise SpecError(
                    f'{self.path}: the outcome "{outcome.name}" is no column of the data. '
                    f"{near(outcome.name, frame.columns)}Known: {listing(frame.columns, 12)}."
                )
            if outcome.transform == "log":
                low = int((frame[outcome.name] <= 0).sum())
                if low:
                    raise SpecError(
                        f'{self.path}: the outcome "{outcome.name}" has {low} values that are zero '
                        'or less, which have no logarithm. Use transform = "none", or a Poisson '
                        "estimator."
                    )
                frame[outcome.column] = np.log(frame[outcome.name])
        return frame

    @property
    def sha256(self) -> str:
        """The hash of what the plan says, whatever its layout and comments."""
        canonical = json.dumps(
            self.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str
        )
        return hashlib.sha256(canonical.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class _Key:
    """What a key of the plan may hold; ``table`` and ``each`` describe nested tables."""

    kind: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    table: Mapping[str, _Key] | None = None


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a string"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "date": ((datetime.date,), "a date such as 1993-07-01"),
    "strings": ((list,), "a list of strings"),
    "text": ((dict,), "a table with a text for each language, {en = ..., vi = ...}"),
    "texts": ((list,), "a list of texts, each {en = ..., vi = ...}"),
    "table": ((dict,), "a table"),
    "tables": ((list,), "a list of tables"),
    "free": ((dict,), "a table"),
}

_OUTCOME = {
    "name": _Key("string", required=True),
    "label": _Key("text", required=True),
    "unit": _Key("string", required=True),
    "transform": _Key("string", default="none", choices=TRANSFORMS),
    "primary": _Key("boolean", default=False),
    "smallest_effect": _Key("number", low=0),
}

PLAN: dict[str, _Key] = {
    "evaluation": _Key(
        "table",
        required=True,
        table={
            "id": _Key("string", required=True),
            "title": _Key("text", required=True),
            "notebook": _Key("string", required=True),
            "data_kind": _Key("string", required=True, choices=DATA_KINDS),
            "date": _Key("date", required=True),
        },
    ),
    "question": _Key(
        "table",
        required=True,
        table={
            "text": _Key("text", required=True),
            "criteria": _Key("strings", default=[], choices=CRITERIA),
        },
    ),
    "data": _Key(
        "table",
        default={},
        table={
            "dataset": _Key("string"),
            "files": _Key(
                "tables",
                default=[],
                table={
                    "path": _Key("string", required=True),
                    "sha256": _Key("string", required=True),
                },
            ),
        },
    ),
    "design": _Key(
        "table",
        default={},
        table={
            "unit": _Key("string"),
            "time": _Key("string"),
            "cohort": _Key("string"),
            "treatment": _Key("text"),
            "unit_name": _Key("text"),
            "anticipation": _Key("integer", default=0, low=0),
            "always_treated": _Key("string", default="refuse", choices=("refuse", "drop")),
            "clusters": _Key("string"),
            "covariates": _Key("strings", default=[]),
            "weights": _Key("string"),
        },
    ),
    "outcomes": _Key("tables", default=[], table=_OUTCOME),
    "estimation": _Key(
        "table",
        default={},
        table={
            "estimator": _Key("string"),
            "settings": _Key("free", default={}),
            "headline": _Key("string", default="average", choices=HEADLINES),
            "beside": _Key(
                "tables",
                default=[],
                table={
                    "estimator": _Key("string", required=True),
                    "settings": _Key("free", default={}),
                },
            ),
        },
    ),
    "inference": _Key(
        "table",
        default={},
        table={
            "level": _Key("number", default=0.95, low=0.5, high=0.999),
            "draws": _Key("integer", default=999, low=99),
            "seed": _Key("integer", default=1, low=0),
        },
    ),
    "reading": _Key(
        "table",
        default={},
        table={
            "credibility": _Key("text"),
            "reasons": _Key("texts", default=[]),
            "cost": _Key("text"),
            "caveats": _Key("texts", default=[]),
            "unknown": _Key("texts", default=[]),
        },
    ),
    "report": _Key(
        "table",
        default={},
        table={"formats": _Key("strings", default=["html"], choices=FORMATS)},
    ),
    "parameters": _Key("free", default={}),
}


def _check_table(
    raw: Mapping[str, Any], keys: Mapping[str, _Key], place: str, findings: list[str]
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
            elif key.kind == "table":
                content[name] = _check_table({}, key.table or {}, path, findings)
            elif key.default is not None:
                content[name] = key.default
            continue
        content[name] = _check_value(raw[name], key, path, findings)
    return content


def _check_value(value: Any, key: _Key, path: str, findings: list[str]) -> Any:
    """Check one value, nested tables included."""
    types, wanted = _KINDS[key.kind]
    fits: bool = isinstance(value, types) and isinstance(value, bool) == (key.kind == "boolean")
    if not fits:
        findings.append(f"{path} must be {wanted}; it is {value!r}.")
        return value
    if key.kind == "table":
        return _check_table(value, key.table or {}, path, findings)
    if key.kind == "tables":
        return [
            _check_value(entry, _Key("table", table=key.table), f"{path}.{number}", findings)
            for number, entry in enumerate(value, start=1)
        ]
    if key.kind == "texts":
        return [
            _check_value(entry, _Key("text"), f"{path}.{number}", findings)
            for number, entry in enumerate(value, start=1)
        ]
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


def _check_files(content: dict[str, Any], file: Path, findings: list[str]) -> None:
    """Check names and files the plan points to: its folder, the notebook, the data's hashes."""
    head = content["evaluation"]
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", head["id"]):
        findings.append(
            f'evaluation.id must be small letters, digits and single hyphens; it is "{head["id"]}".'
        )
    elif head["id"] != file.resolve().parent.name:
        findings.append(
            f'evaluation.id is "{head["id"]}", but the plan lies in the folder '
            f'"{file.resolve().parent.name}". Give both one name.'
        )
    notebook = file.parent / head["notebook"]
    if not notebook.is_file():
        beside = sorted(p.name for p in notebook.parent.glob("*.ipynb"))
        findings.append(
            f"evaluation.notebook names {head['notebook']}, which is not there (paths are "
            f"relative to the plan). {near(notebook.name, beside)}".rstrip()
        )
    for number, entry in enumerate(content["data"]["files"], start=1):
        path = file.parent / entry["path"]
        if not path.is_file():
            findings.append(
                f"data.files.{number} names {entry['path']}, which is not there (paths are "
                "relative to the plan)."
            )
        elif (found := file_sha256(path)) != entry["sha256"]:
            findings.append(
                f"data.files.{number}: the contents of {entry['path']} are not those the plan was "
                f"written for (sha256 {found}, planned {entry['sha256']}). Restore the file, or "
                "put the new hash into the plan if the change is meant."
            )
    dataset = content["data"].get("dataset")
    if dataset is not None and dataset not in datasets.names():
        findings.append(
            f'data.dataset names "{dataset}", which is no data set. '
            f"{near(dataset, datasets.names())}There are: {', '.join(datasets.names())}."
        )
    estimation = content["estimation"]
    for name in [estimation.get("estimator"), *(e["estimator"] for e in estimation["beside"])]:
        if name is not None and name not in ESTIMATORS:
            findings.append(
                f'estimation names "{name}", which is no estimator. {near(name, ESTIMATORS)}'
                f"There are: {', '.join(ESTIMATORS)}."
            )
    names = [outcome["name"] for outcome in content["outcomes"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        findings.append(f"outcomes names {listing(twice)} more than once.")


def _listed(file: Path, findings: list[str]) -> str:
    """Put all findings into one message."""
    if len(findings) == 1:
        return f"{file}: {findings[0]}"
    return f"{file} has {len(findings)} problems:\n" + "\n".join(f"- {text}" for text in findings)

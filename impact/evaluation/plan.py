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
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impact import datasets
from impact.errors import ImpactError, SpecError, listing, near
from impact.estimators import ESTIMATORS
from impact.evaluation.scanned import check_scan, open_scanned
from impact.evaluation.schema import ANALYSES, LANGUAGES, PLAN, check_table
from impact.warehouse import address_files

if TYPE_CHECKING:
    import pandas as pd

    from impact.calendar import Outcome as SeriesKind

__all__ = ["Evaluation", "Outcome", "class_name", "file_sha256", "is_evaluation_id"]


@dataclass(frozen=True)
class Outcome:
    """An outcome the plan names.

    Parameters
    ----------
    name : what the report's numbers are named after; the column, unless ``data_column`` says else
    label : what it is, in each language
    unit : the unit of its level, as the report writes it
    transform : "none", or "log", after which effects are read in percent
    primary : whether the question is answered by it
    smallest_effect : smallest effect of interest, as a share for logarithms, else in the unit
    series : kind of Vietnamese statistic it is, whose known breaks are warned of
    data_column : the column of the data, where its name cannot name numbers, as "Số lao động"
    """

    name: str
    label: dict[str, str]
    unit: str
    transform: str = "none"
    primary: bool = False
    smallest_effect: float | None = None
    series: SeriesKind | None = None
    data_column: str | None = None

    @property
    def column(self) -> str:
        """The column the estimators see: the outcome, or its logarithm."""
        return self.name if self.transform == "none" else f"{self.transform}_{self.name}"

    @property
    def source(self) -> str:
        """The column of the data that holds it."""
        return self.data_column or self.name

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
        if file.is_dir() or not file.suffix:
            file = file / "evaluation.toml"
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            beside = sorted({p.parent.name for p in file.parent.parent.glob("*/evaluation.toml")})
            raise SpecError(
                f"there is no plan {file}. {near(file.parent.name, beside)}"
                f"{'Plans beside it: ' + listing(beside, 9) + '. ' if beside else ''}"
                "Name a file evaluation.toml, or the folder that holds one."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpecError(
                f"{file} is no TOML: {error}. Mend that line; a key with accents or blanks stands "
                'in quotes, as classes."Nhỏ".'
            ) from None
        findings: list[str] = []
        content = check_table(raw, PLAN, "", findings)
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
    def criteria(self) -> tuple[str, ...]:
        """The OECD-DAC criteria that the evaluation answers."""
        return tuple(self.content["question"]["criteria"])

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
    def scan(self) -> str | None:
        """The pattern of files, or the database, where the data stay; None if they are loaded."""
        address: str | None = self.content["data"].get("scan")
        return address

    @property
    def scanned_files(self) -> list[Path]:
        """The files in which the data stay; none where a server holds them."""
        return [] if self.scan is None else address_files(self.scan, self.folder)

    @property
    def scanned(self) -> dict[str, str | None]:
        """The SHA-256 of the names and bytes of those files; None of a server's table."""
        return {} if self.scan is None else {self.scan: files_sha256(self.scanned_files)}

    @property
    def files(self) -> dict[str, Path]:
        """The data files by their names."""
        paths = [self.folder / entry["path"] for entry in self.content["data"]["files"]]
        return {path.name: path for path in paths}

    @property
    def data_files(self) -> dict[str, Path]:
        """The files that are estimated from; those marked ``beside`` are only shown beside them."""
        beside = {Path(e["path"]).name for e in self.content["data"]["files"] if e.get("beside")}
        return {name: path for name, path in self.files.items() if name not in beside}

    @property
    def design(self) -> dict[str, Any]:
        """The columns and settings of the design."""
        return dict(self.content["design"])

    @property
    def estimation(self) -> dict[str, Any]:
        """The main estimator, its settings, and the estimators shown beside it."""
        return dict(self.content["estimation"])

    @property
    def textbook(self) -> dict[str, Any]:
        """The regressions a textbook prints on these data; empty where the plan names none."""
        return dict(self.content.get("textbook", {}))

    @property
    def families(self) -> list[dict[str, Any]]:
        """The families of outcomes whose p-values are adjusted together."""
        return list(self.content.get("families", []))

    @property
    def subgroups(self) -> list[dict[str, Any]]:
        """The characteristics of units by whose classes effects are shown."""
        return list(self.content.get("subgroups", []))

    def class_label(self, column: str, value: object) -> dict[str, str]:
        """Return what readers call a class of a column: its label, or the value itself."""
        name = class_name(value)
        stated = (entry for entry in self.subgroups if entry["by"] == column)
        labels: dict[str, dict[str, str]] = next(stated, {}).get("classes", {})
        return dict(labels.get(name, dict.fromkeys(LANGUAGES, name)))

    @property
    def analyses(self) -> tuple[str, ...]:
        """The analyses that say what the answer hangs on."""
        return tuple(self.content.get("robustness", {"analyses": ANALYSES})["analyses"])

    @property
    def cost(self) -> dict[str, Any]:
        """The money spent and what it is divided by; empty where the plan names none."""
        return dict(self.content.get("cost", {}))

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
    def smallest_cell(self) -> int:
        """Fewest units that a printed number may rest on."""
        return int(self.content["report"]["smallest_cell"])

    @property
    def withheld(self) -> tuple[str, ...]:
        """Counts of units that are hidden because reports beside this one could give them away."""
        return tuple(self.content["report"].get("withheld", ()))

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the notebook."""
        return dict(self.content["parameters"])

    def table(self) -> Any:
        """Open the plan's data where they stay, as an Ibis table with the columns of `load`.

        Raises
        ------
        SpecError : it cannot be opened, an outcome is no column, or a logarithm is asked of
            numbers that are not positive
        """
        logarithms = {o.name: o.column for o in self.outcomes if o.is_relative}
        outcomes = [outcome.name for outcome in self.outcomes]
        try:
            return open_scanned(self.folder, self.content["data"], logarithms, outcomes)
        except ImpactError as error:
            raise SpecError(f"{self.path}: {error}") from error

    def data(self) -> pd.DataFrame | Any:
        """Return the plan's data: loaded, or as an Ibis table where the plan leaves them."""
        return self.load() if self.scan is None else self.table()

    def load(self) -> pd.DataFrame:
        """Load the plan's data, with a column for each transformed outcome.

        Raises
        ------
        SpecError : the plan leaves its data in a table, or names neither a data set nor exactly
            one CSV file; an outcome is no column, or a logarithm is asked of numbers that are not
            positive
        """
        import numpy as np

        frame = self._rows_of_interest(self.rows())
        for outcome in self.outcomes:
            if outcome.source not in frame.columns:
                raise SpecError(
                    f'{self.path}: the outcome "{outcome.source}" is no column of the data. '
                    f"{near(outcome.source, frame.columns)}Known: {listing(frame.columns, 12)}."
                )
            if outcome.source != outcome.name:
                if outcome.name in frame.columns:
                    raise SpecError(
                        f'{self.path}: the outcome "{outcome.name}" is read from '
                        f'"{outcome.source}", but the data have another column of its name. Give '
                        "the outcome a name of its own."
                    )
                frame[outcome.name] = frame[outcome.source]
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

    def rows(self) -> pd.DataFrame:
        """Load the plan's data as they are: all rows, whichever of them [data.where] keeps.

        Raises
        ------
        SpecError : the plan leaves its data in a table, or names neither a data set nor exactly
            one CSV file
        """
        if self.scan is not None:
            raise SpecError(
                f"{self.path}: the data stay where data.scan says, and are not loaded. Use "
                "plan.table(), or Design.from_table(plan.table(), ...).collect(share=...)."
            )
        if self.dataset is not None:
            return datasets.load(self.dataset)
        if len(self.data_files) != 1:
            raise SpecError(
                f"{self.path}: [data] names {len(self.data_files)} files and no dataset; an "
                "evaluation needs one table of units by time. Name it as data.dataset or one "
                "data.files."
            )
        return self._read_csv(next(iter(self.data_files.values())))

    def _read_csv(self, path: Path) -> pd.DataFrame:
        """Read the plan's table."""
        import pandas as pd

        try:
            return pd.read_csv(path)
        except (ValueError, OSError) as error:  # the parser's own errors are ValueErrors
            raise SpecError(
                f"{self.path}: {path.name} cannot be read as a table ({error}). Save it as CSV in "
                "UTF-8, comma-separated, with the column names in its first line."
            ) from None

    def _rows_of_interest(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Keep the rows whose columns have the values that [data.where] names."""
        for column, value in self.content["data"].get("where", {}).items():
            if column not in frame.columns:
                raise SpecError(
                    f'{self.path}: data.where names "{column}", which is no column of the data. '
                    f"{near(column, frame.columns)}Known: {listing(frame.columns, 12)}."
                )
            kept = frame[frame[column] == value]
            if kept.empty:
                known = frame[column].unique()
                raise SpecError(
                    f"{self.path}: no row of the data has {column} = {value!r}. "
                    f"{near(str(value), known)}It is: {listing(known, 12)}."
                )
            frame = kept.reset_index(drop=True)
        return frame

    @property
    def sha256(self) -> str:
        """The hash of what the plan says, whatever its layout and comments."""
        canonical = json.dumps(
            self.content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str
        )
        return hashlib.sha256(canonical.encode()).hexdigest()


def class_name(value: object) -> str:
    """Name a class of units as a plan does: whole numbers without decimals."""
    return re.sub(r"^(-?\d+)\.0$", r"\1", str(value))


def is_evaluation_id(name: str) -> bool:
    """Tell whether an evaluation, and so its folder, may have this name."""
    return re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) is not None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path]) -> str | None:
    """Return the SHA-256 of files' names and bytes; None without files."""
    lines = [f"{path.name} {file_sha256(path)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else None


def _check_files(content: dict[str, Any], file: Path, findings: list[str]) -> None:
    """Check names and files the plan points to: its folder, the notebook, the data's hashes."""
    head = content["evaluation"]
    if not is_evaluation_id(head["id"]):
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
    findings += check_scan(content["data"], file.parent)
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
    renamed = [outcome["name"] for outcome in content["outcomes"] if "data_column" in outcome]
    if renamed and content["data"].get("scan") is not None:
        findings.append(
            f"outcomes reads {listing(renamed)} from a data_column, but the data stay where "
            "data.scan says. Rename the columns there."
        )


def _listed(file: Path, findings: list[str]) -> str:
    """Put all findings into one message."""
    if len(findings) == 1:
        return f"{file}: {findings[0]}"
    return f"{file} has {len(findings)} problems:\n" + "\n".join(f"- {text}" for text in findings)

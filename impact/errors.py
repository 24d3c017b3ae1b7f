"""Errors a user can act on: what was wrong, where, why it matters, how to mend it.

::

    ImpactError
    ├── PanelError         rows, units and periods do not form a panel
    │   └── TableError     a table outside memory, or the engine that holds it
    ├── DesignError        the treatment, the sample or the estimator's requirements
    ├── EstimationError    the data cannot answer the question
    ├── InferenceError     no valid inference of the kind asked for
    │   └── VarianceError  estimates exist, and nothing tells how far they may stray
    ├── LedgerError        the ledger of projects
    ├── PlaceError         provinces and their vintages
    ├── PriceError         price indices and years
    └── ReportError        reports, notebooks and files
        └── SpecError      an evaluation's TOML file

    BreakWarning           a design spans a known break of its outcome's series
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

__all__ = [
    "BreakWarning",
    "DesignError",
    "EstimationError",
    "ImpactError",
    "InferenceError",
    "LedgerError",
    "PanelError",
    "PlaceError",
    "PriceError",
    "ReportError",
    "SpecError",
    "TableError",
    "VarianceError",
    "check_choice",
    "listing",
    "near",
    "plural",
]


class ImpactError(ValueError):
    """Base of every error this package raises on purpose."""


class PanelError(ImpactError):
    """Rows, units and periods do not form a panel."""


class TableError(PanelError):
    """A table outside memory, or the engine that holds it, cannot answer."""


class DesignError(ImpactError):
    """The design is contradictory, or an estimator's requirements are not met."""


class EstimationError(ImpactError):
    """The data cannot answer the question asked."""


class InferenceError(ImpactError):
    """No valid inference of the kind asked for exists here."""


class VarianceError(InferenceError):
    """The data estimate, and tell nothing of how far the estimates may stray."""


class LedgerError(ImpactError):
    """The ledger of projects cannot be read, or cannot become a treatment.

    ``vi`` says the same in Vietnamese; it is empty where the message exists in English only.
    """

    def __init__(self, message: str, vi: str = "") -> None:
        super().__init__(message)
        self.vi = vi


class PlaceError(ImpactError):
    """A province, code or vintage is unknown or mixed."""


class PriceError(ImpactError):
    """A price index does not cover what is asked of it."""


class ReportError(ImpactError):
    """A report cannot be built, checked or written."""


class SpecError(ReportError):
    """An evaluation's specification is malformed."""


class BreakWarning(UserWarning):
    """A design spans a year in which its outcome's series changed for other reasons."""


def listing(values: Iterable[object], limit: int = 3) -> str:
    """Name the first cases and count the rest: ``a, b, c and 4 more``."""
    cases = list(values)
    shown = ", ".join(str(case) for case in cases[:limit])
    return shown if len(cases) <= limit else f"{shown} and {len(cases) - limit} more"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Write a count with its noun: ``1 unit``, ``3 units``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def near(name: str, known: Iterable[object]) -> str:
    """Suggest the closest known name as a sentence, or nothing."""
    names = [str(k) for k in known]
    spelled = [k for k in names if _bare(k) == _bare(str(name))]
    spelled.sort(key=lambda k: k.casefold() != str(name).casefold())
    close = spelled or difflib.get_close_matches(str(name), names, n=1)
    return f'Did you mean "{close[0]}"? ' if close else ""


def _bare(name: str) -> str:
    """Return a name without capitals and accents: "Tỉnh" gives "tinh"."""
    letters = unicodedata.normalize("NFD", name.casefold().replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def check_choice(
    argument: str, value: object, allowed: Iterable[str], error: type[ImpactError] = DesignError
) -> None:
    """Refuse a setting that is not one of the allowed names.

    Raises
    ------
    ImpactError : of the given class, naming the argument, what it may be and what it was
    """
    options = list(allowed)
    if value not in options:
        raise error(
            f"{argument} may be {', '.join(repr(o) for o in options)}; it was {value!r}. "
            f"{near(str(value), options)}".rstrip()
        )

"""Checks of settings that several estimators share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impact.errors import DesignError

__all__ = ["column_names", "whole_number"]


def column_names(estimator: str, setting: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple.

    Raises
    ------
    DesignError : something that is no name
    """
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise DesignError(
            f"{estimator}: {setting} names columns, as a text or a list of texts; it was {value!r}."
        )
    return tuple(names)


def whole_number(estimator: str, setting: str, value: object, least: int) -> None:
    """Refuse what is no whole number of at least ``least``.

    Raises
    ------
    DesignError : another type, or a smaller number
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise DesignError(
            f"{estimator}: {setting} is a whole number, {least} or more; it was {value!r}."
        )

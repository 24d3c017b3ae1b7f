"""Checks of settings that several estimators share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from impact.errors import DesignError, near

__all__ = ["NamedSettings", "column_names", "whole_number"]


class NamedSettings(type):
    """Refuses a setting that a class does not have, naming the nearest, and one left out.

    A class may say in ``also_called`` which of its settings goes by another name elsewhere.
    """

    also_called: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @property
    def __signature__(cls) -> inspect.Signature:
        """The settings, for help and completion."""
        settings = list(inspect.signature(cls.__init__).parameters.values())  # type: ignore[misc]
        return inspect.Signature(settings[1:])

    def __call__(cls, *values: Any, **settings: Any) -> Any:
        """Make an instance of settings that exist."""
        known = cls.__signature__.parameters
        all_of_them = f"Settings: {', '.join(known) or 'none'}."
        for name in settings:
            if name not in known:
                meant = near(cls.also_called.get(name, name), known)
                raise DesignError(f'{cls.__name__} has no setting "{name}". {meant}{all_of_them}')
        for name, setting in list(known.items())[len(values) :]:
            if setting.default is setting.empty and name not in settings:
                raise DesignError(
                    f"{cls.__name__} needs {name}, which has no default: "
                    f"{cls.__name__}({name}=...). {all_of_them}"
                )
        return super().__call__(*values, **settings)


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

"""fixest's words in terms: written anew for formulaic, or refused with what to write instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping

from impact.errors import PanelError
from impact.formula.text import calls, plain_text, replace_calls, unquoted

__all__ = ["SHIFTS", "refuse_calls", "refuse_words", "rewrite", "shift_calls"]

SHIFTS = ("l", "lag", "f", "lead", "d")
"""Functions that look at other periods of the unit."""

COMPARISON = re.compile("[<>]|[=!]=")

SEVERAL = (
    "fits several regressions; write them out one by one and put them side by side with compare"
)

INSTEAD = {
    **dict.fromkeys(("sw", "sw0", "csw", "csw0", "mvsw"), SEVERAL),
    "offset": "has no counterpart here; subtract the column from the outcome, or use "
    "PoissonFixedEffects(exposure=...)",
    "ns": "is not known; use bs(x, df=...)",
    "ifelse": "is not known; use np.where(x > 0, 1, 0)",
    "cut": "is not known; make the column with pandas.cut",
    "bin": "is not known; make the column with pandas.cut",
}
"""Words of R that mean something else here, or nothing, and what to write."""


def refuse_words(terms: str, formula: str) -> None:
    """Refuse what cannot be meant, or would be read otherwise than in R.

    Raises
    ------
    PanelError : a word without meaning here, a power outside brackets, "|" within brackets
    """
    refuse_calls(terms, formula)

    def refuse(what: str, advice: str) -> None:
        raise PanelError(f"{what} in the formula {formula!r} {advice}.")

    plain = plain_text(terms)
    power = re.search(r"[\w.]+\s*(\^|\*\*)\s*\d", plain)
    if power:
        refuse(
            repr(power[0]),
            "is no power: outside I() it crosses terms with themselves. Write I(x**2)",
        )
    if "%" in plain:
        refuse("%in%", "is not read. Write a:b to cross terms")
    if re.search(r"(^|[+\s])\.($|[+\s])", plain):
        refuse('"."', "would hold the outcome and the keys too. Name the regressors")
    shifted = [c for c in shift_calls(terms) if re.search(COMPARISON, plain_text(c, brackets=True))]
    if shifted:
        refuse(
            repr(shifted[0]),
            "compares before it looks back, where what is missing would count as no. Make the "
            "comparison a column first, or compare the lag",
        )
    if "|" in plain_text(terms, brackets=True):
        refuse('"|" within brackets', "is not read. Write fixed effects after a | of their own")


def refuse_calls(text: str, formula: str) -> None:
    """Refuse functions of R that have no counterpart.

    Raises
    ------
    PanelError : such a function, with what to write instead
    """
    for name in sorted(_every_call(text) & set(INSTEAD)):
        raise PanelError(f"{name}() in the formula {formula!r} {INSTEAD[name]}.")


def rewrite(terms: str) -> str:
    """Write fixest's words as formulaic reads them."""
    shifts: Mapping[str, Callable[[list[str]], str | None]] = {
        name: _shifts(name) for name in SHIFTS
    }
    logical = {"TRUE": "True", "FALSE": "False"}
    known = re.sub(r"\b(TRUE|FALSE)\b", lambda found: logical[found[0]], terms)
    factors = dict.fromkeys(("factor", "as.factor"), lambda args: f"C({', '.join(args)})")
    return _powers(replace_calls(known, {**shifts, **factors, "i": _indicators}))


def _every_call(terms: str) -> set[str]:
    """Name the functions called, at any depth."""
    found = set()
    for start, stop, name in calls(terms):
        found |= {name} | _every_call(terms[start + len(name) + 1 : stop - 1])
    return found


def shift_calls(text: str) -> list[str]:
    """Return the calls that look at other periods, those within another left out."""
    found = []
    for start, stop, name in calls(text):
        own = text[start:stop]
        found += [own] if name in SHIFTS else shift_calls(own[len(name) + 1 : -1])
    return found


def _powers(terms: str) -> str:
    """Write R's ``x^2`` within calls as Python's ``x**2``; outside it crosses terms."""
    written, at = [], 0
    for start, stop, name in calls(terms):
        inside = terms[start + len(name) : stop]
        written += [terms[at:start], name, inside.replace("^", "**")]
        at = stop
    return "".join([*written, terms[at:]])


def _shifts(name: str) -> Callable[[list[str]], str | None]:
    """Write ``l(x, 1:2)`` as the sum of its terms."""

    def rule(arguments: list[str]) -> str | None:
        if len(arguments) != 2:
            return None
        steps = _whole_numbers(arguments[1])
        if steps is None or len(steps) == 1:
            return None
        return "(" + " + ".join(f"{name}({arguments[0]}, {step})" for step in steps) + ")"

    return rule


def _whole_numbers(text: str) -> list[int] | None:
    """Read ``1:3`` and ``c(1, 3)``; None for anything else."""
    bounds = re.fullmatch(r"(-?\d+)\s*:\s*(-?\d+)", text)
    if bounds:
        first, last = int(bounds[1]), int(bounds[2])
        step = 1 if last >= first else -1
        return list(range(first, last + step, step))
    several = re.fullmatch(r"c\((\s*-?\d+\s*(?:,\s*-?\d+\s*)*)\)", text)
    return [int(part) for part in several[1].split(",")] if several else None


def _indicators(arguments: list[str]) -> str | None:
    """Write ``i(x)`` as a factor, and ``i(x, z, ref=v)`` as a call with names and levels."""
    named = {}
    positional = []
    for argument in arguments:
        setting = re.fullmatch(r"(\w+)\s*=(?!=)\s*(.+)", argument, re.DOTALL)
        if setting:
            named[setting[1]] = setting[2].strip()
        else:
            positional.append(argument)
    if not positional or len(positional) > 3 or set(named) - {"ref", "keep"}:
        wrong = sorted(set(named) - {"ref", "keep"})
        what = f"{wrong[0]}= of i() is not read" if wrong else "i() takes a factor and a number"
        raise PanelError(f"{what}. Write i(x), i(x, z), ref= and keep= with levels of x.")
    names = [unquoted(name) for name in positional[:2]]
    ref = named.get("ref", positional[2] if len(positional) == 3 else None)
    if len(names) == 1 and ref is None and "keep" not in named:
        return f"C({positional[0]})"
    settings = {"ref": ref, "keep": named.get("keep")}
    listed = [f"{name}={_levels(text)!r}" for name, text in settings.items() if text is not None]
    return f"indicators({', '.join([*(repr(name) for name in names), *listed])})"


def _levels(text: str) -> tuple[object, ...]:
    """Read levels: a number, a text, ``c(2001, 2003)`` or ``2001:2003``."""
    inside = re.fullmatch(r"c\((.*)\)", text, re.DOTALL)
    several = _whole_numbers(inside[1].strip() if inside else text)
    if several is not None:
        return tuple(several)
    try:
        read = ast.literal_eval(f"({inside[1] if inside else text},)")
    except (SyntaxError, ValueError):
        raise PanelError(
            f"the levels {text!r} of i() cannot be read. Write a number, a text in quotes, or "
            "several as c(2001, 2003)."
        ) from None
    return tuple(read)

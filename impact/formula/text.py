"""Formulas as text: parts at the top level, calls with their arguments, names in backticks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

__all__ = ["calls", "plain_text", "replace_calls", "split", "split_effects", "unquoted"]

QUOTES = "`'\""
OPENING, CLOSING = "([{", ")]}"


def split(text: str, mark: str) -> list[str]:
    """Split at a mark that stands outside brackets and quotes; parts are stripped."""
    cuts = [at for at, letter, depth in _walk(text) if letter == mark and not depth]
    starts, stops = [0, *(cut + 1 for cut in cuts)], [*cuts, len(text)]
    return [text[a:b].strip() for a, b in zip(starts, stops, strict=True)]


def split_effects(text: str) -> list[str]:
    """Split fixed effects at "+", names without their backticks; "0" is none."""
    return [unquoted(name) for name in split(text, "+") if name not in ("", "0")]


def unquoted(text: str) -> str:
    """Take the backticks off names."""
    return re.sub(r"`([^`]*)`", r"\1", text)


def plain_text(text: str, *, brackets: bool = False) -> str:
    """Return what stands outside quotes, and outside brackets unless they are wanted."""
    return "".join(letter for _, letter, depth in _walk(text) if brackets or not depth)


def calls(text: str) -> Iterator[tuple[int, int, str]]:
    """Find outermost calls such as ``log(x)``: where they start and stop, and the name called."""
    at = 0
    depths = {position: depth for position, _, depth in _walk(text)}
    for found in re.finditer(r"[^\W\d][\w.]*(?=\s*\()", text):
        if found.start() < at or found.start() not in depths:
            continue
        opening = text.index("(", found.end())
        inside = depths[opening]
        stop = next(
            (
                p
                for p in range(opening + 1, len(text))
                if depths.get(p) == inside and text[p] == ")"
            ),
            None,
        )
        if stop is not None:
            at = stop + 1
            yield found.start(), at, found.group()


def replace_calls(text: str, rules: Mapping[str, Callable[[list[str]], str | None]]) -> str:
    """Write calls anew, innermost first.

    Parameters
    ----------
    rules : by the name called, what arguments become; None keeps the call
    """
    written, at = [], 0
    for start, stop, name in calls(text):
        opening = text.index("(", start + len(name))
        arguments = replace_calls(text[opening + 1 : stop - 1], rules)
        rule = rules.get(name)
        anew = rule(split(arguments, ",")) if rule is not None else None
        written += [text[at:start], f"{name}({arguments})" if anew is None else anew]
        at = stop
    return "".join([*written, text[at:]])


def _walk(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield position, letter and depth of what is not quoted; brackets have the depth outside."""
    depth, quote = 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
            continue
        if letter in QUOTES:
            quote = letter
            continue
        if letter in CLOSING:
            depth -= 1
        yield at, letter, depth + (letter in OPENING + CLOSING)
        if letter in OPENING:
            depth += 1

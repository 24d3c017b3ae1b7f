"""Compare nested answers with the reference numbers of a case, number by number."""

from collections.abc import Iterator, Mapping
from typing import Any


def numbers(tree: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Flatten nested numbers into (dotted path, number); texts and nulls are left out."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from numbers(value, f"{path}[{index}]")
    elif isinstance(tree, (int, float)) and not isinstance(tree, bool):
        yield path, float(tree)


def kind_of(path: str, family: str) -> str:
    """Tell which tolerance a number has by the last part of its path, or its case's family."""
    if family == "conley_se" and not path.startswith("coef"):
        return "se"
    last = path.rsplit(".", 1)[-1].split("[")[0]
    if last in ("se", "std_error", "se_HC1"):
        return "se"
    if last in ("p", "pvalue", "sargan_p", "ar1_p", "ar2_p"):
        return "pvalue"
    return "estimate"


def differences(
    answers: Mapping[str, Any],
    case: Mapping[str, Any],
    explained: Mapping[str, str],
    printed: Mapping[str, float] | None = None,
) -> list[str]:
    """List what differs or is missing; ``explained`` gives reasons for paths left unanswered.

    A number passes when |answer - reference| <= atol + rtol |reference| with the case's own
    tolerance for its kind, or half a unit of the last digit where ``printed`` gives that unit
    for a path's beginning (the first that fits).
    """
    given, tolerance = dict(numbers(answers)), case["tolerance"]
    found = []
    for path, reference in numbers(case["reference"]):
        if any(path.startswith(start) for start in explained):
            continue
        if path not in given:
            found.append(f"{path}: not answered, reference {reference}")
            continue
        allowed = (
            tolerance.get(kind_of(path, case["family"]))
            or tolerance.get("estimate")
            or {"rtol": 1e-6}
        )
        unit = next((u for start, u in (printed or {}).items() if path.startswith(start)), None)
        margin = allowed.get("atol", 0.0) + allowed.get("rtol", 0.0) * abs(reference)
        if unit is not None:
            # Printed statistics of 2 or 3 digits; 1.01 forgives the decimal's own rounding.
            margin = 1.01 * unit / 2
        if not abs(given[path] - reference) <= margin:
            found.append(f"{path}: {given[path]!r}, reference {reference!r}")
    return found

"""Resolve what a ledger names: provinces in their vintage, contents in their code list."""

from __future__ import annotations

import pandas as pd

from impact.ledger.findings import Finding
from impact.ledger.read import Typed
from impact.ledger.schema import CHOICES, Text, contents
from impact.places import fold, lookup

__all__ = ["resolve_contents", "resolve_provinces"]

UNNUMBERED = Text(
    "; its numbering is not known here, so write the content's name",
    "; chưa biết số thứ tự của danh mục này, hãy ghi tên nội dung",
)


def resolve_provinces(typed: Typed) -> tuple[pd.Series, list[Finding]]:
    """Return each project's two-digit province code within its own vintage."""
    frame = typed.frame
    resolved = pd.Series(index=frame.index, dtype="str")
    findings = []
    for vintage in (63, 34):
        rows = (frame["province_vintage"] == str(vintage)) & frame["province"].notna()
        named = frame.loc[rows, "province"]
        known, unknown = lookup(named, vintage)
        _, unknown_vi = lookup(named, vintage, "vi")
        words = {name: Text(unknown[name], unknown_vi[name]) for name in unknown}
        resolved[rows] = named.map(known).astype("str")
        findings += [
            typed.find("place_unknown", row, "province", value=words[name], vintage=vintage)
            for row, name in typed.rows("province", where=rows)
            if name in words
        ]
    return resolved, findings


def resolve_contents(typed: Typed) -> tuple[pd.Series, list[Finding]]:
    """Return each project's content by name, from its code within its own code list."""
    frame = typed.frame
    known = _content_keys()
    resolved: list[str | None] = []
    findings = []
    for row, code, code_list in frame[["content_code", "code_list"]].itertuples():
        content = None
        if pd.notna(code) and pd.notna(code_list):
            key = fold(code).removeprefix("c").lstrip("0") if _is_number(code) else fold(code)
            content = known.get((code_list, key))
            if content is None:
                label = CHOICES["code_list"][code_list]
                hint = UNNUMBERED if _is_unnumbered(code, code_list) else Text("", "")
                details = {"value": code, "code_list": Text(label[0], label[1]), "hint": hint}
                findings.append(typed.find("content_unknown", row, "content_code", **details))
        resolved.append(content)
    return pd.Series(resolved, index=frame.index, dtype="str"), findings


def _content_keys() -> dict[tuple[str, str], str]:
    """Map code list and number, name or label to the content."""
    keys: dict[tuple[str, str], str] = {}
    for line in contents().fillna("").to_dict("records"):
        words = {fold(line[name]) for name in ("content", "label_en", "label_vi")}
        words |= {line["code"]} - {""}
        keys |= {(line["code_list"], word): line["content"] for word in words}
    return keys


def _is_number(code: str) -> bool:
    return fold(code).removeprefix("c").isdigit()


def _is_unnumbered(code: str, code_list: str) -> bool:
    table = contents()
    return _is_number(code) and bool(
        table.loc[table["code_list"] == code_list, "code"].isna().all()
    )

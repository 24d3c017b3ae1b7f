"""A record prepared for a format of pages: runs of text, written tables, figures by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from impact.report.html import locale_words
from impact.report.tables import prepare_table
from impact.report.text import Text
from impact.report.values import Value, format_value, render_template

__all__ = ["prepare_document"]

_STRONG = re.compile(r"\*\*(.+?)\*\*")


def prepare_document(
    results: Mapping[str, Any], language: str, fingerprints: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a report in one language as nested lists of runs, tables and figures.

    A run is {"text", "strong"}; every sentence is filled and every number formatted.

    Parameters
    ----------
    results : the content of results.json
    language : "en" or "vi"
    fingerprints : hashes of what the report was made from
    """
    values = {name: Value(id=name, **entry) for name, entry in results["values"].items()}
    head, front = results["evaluation"], results["summary"] or {}
    words = locale_words(language)

    def runs(text: Text) -> list[dict[str, Any]]:
        parts = _STRONG.split(render_template(text[language], values, language))
        return [{"text": t, "strong": bool(i % 2)} for i, t in enumerate(parts) if t]

    def plain(text: Text) -> str:
        return "".join(run["text"] for run in runs(text))

    def block(item: Mapping[str, Any]) -> dict[str, Any]:
        if item["kind"] == "table":
            table = prepare_table(results["tables"][item["id"]], values, language)
            return {"kind": "table", "id": item["id"], "title": runs(table["title"])} | {
                "columns": [
                    {"runs": runs(column["label"]), "numeric": column["numeric"]}
                    for column in table["columns"]
                ],
                "rows": [[cell["text"] for cell in row] for row in table["rows"]],
                "note": [] if table["note"] is None else runs(table["note"]),
                "source": table["source"] or "",
            }
        if item["kind"] == "figure":
            figure = results["figures"][item["id"]]
            return {
                "kind": "figure",
                "file": figure["files"][language],
                "alt": plain(figure["alt"]),
                "title": runs(figure["title"]),
                "caption": [] if figure["caption"] is None else runs(figure["caption"]),
            }
        if item["kind"] == "list":
            return {"kind": "list", "items": [runs(entry) for entry in item["items"]]}
        kind = item["kind"]
        return {"kind": kind, "tone": item.get("tone", ""), "runs": runs(item["text"])}

    return {
        "language": language,
        "words": words,
        "id": head["id"],
        "title": plain(head["title"]),
        "kind": words["data_kind"][head["data_kind"]],
        "kind_long": words["data_kind_long"][head["data_kind"]],
        "simulated": head["data_kind"] == "simulated",
        "question": runs(head["question"]),
        "front": {
            key: runs(front[key])
            for key in ("answer", "finding", "credibility", "cost")
            if front.get(key)
        },
        "lists": {
            key: [runs(item) for item in front.get(key, [])]
            for key in ("reasons", "caveats", "unknown")
        },
        "warnings": [runs(item) for item in results["warnings"]],
        "sections": [
            {
                "title": runs(section["title"]),
                "blocks": [block(item) for item in section["blocks"]],
            }
            for section in results["sections"]
        ],
        "deviations": results.get("deviations"),
        "queries": [query | {"sql": query["sql"] or ""} for query in results.get("queries", [])],
        "values": [
            {
                "id": value.id,
                "label": value.label[language],
                "written": format_value(value, language),
                "interval": "" if value.low is None else format_value(value, language, "interval"),
            }
            for value in sorted(values.values(), key=lambda value: value.id)
        ],
        "fingerprints": [
            [words["plan"], fingerprints["plan"]],
            [words["notebook"], fingerprints["notebook"]],
            *(
                [f"{words['data']}: {name.rsplit('/', 1)[-1]}", digest]
                for name, digest in sorted(fingerprints["data"].items())
            ),
        ],
    }

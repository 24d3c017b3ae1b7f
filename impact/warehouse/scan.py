"""Open files too large for memory as a table that DuckDB reads in place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impact.errors import TableError, listing

__all__ = ["scan"]

READERS = {".parquet": "read_parquet", ".pq": "read_parquet", ".csv": "read_csv"}
"""DuckDB's reader by how a file's name ends, compressed CSV included."""


def scan(
    files: str | Path | Sequence[str | Path],
    *,
    memory_limit: str | None = None,
    threads: int | None = None,
    spill: str | Path | None = None,
    **options: Any,
) -> Any:
    """Open Parquet or CSV files as one Ibis table, without reading them into memory.

    Parameters
    ----------
    files : a file, a pattern such as "folder/*.parquet", or a list of them
    memory_limit : most memory DuckDB may take, such as "4GB"; four fifths of the machine's if
        None
    threads : how many threads it may use; all if None
    spill : folder for what does not fit; ".tmp" in the working folder if None
    options : passed to DuckDB's reader, such as ``types={"year": "INTEGER"}`` for CSV

    Returns
    -------
    Ibis table : for `impact.Design.from_table`, and for ``filter``, ``mutate`` and ``select``
        before it

    Raises
    ------
    TableError : no file matches, files of several kinds, or Ibis is not installed

    Example
    -------
    >>> table = impact.scan("census/*.parquet", memory_limit="4GB")       # doctest: +SKIP
    >>> Design.from_table(table, unit="firm", time="year", outcome="jobs",
    ...                   cohort="first_support")                         # doctest: +SKIP
    """
    try:
        import ibis
    except ImportError as error:
        raise TableError(
            "impact.scan needs Ibis and DuckDB, which are not installed. Install them with "
            'pip install "impact-panel[scale]".'
        ) from error
    names = [str(name) for name in ([files] if isinstance(files, str | Path) else files)]
    read = _reader(names)
    settings: dict[str, Any] = {"memory_limit": memory_limit, "threads": threads}
    settings["temp_directory"] = None if spill is None else str(spill)
    engine = ibis.duckdb.connect(**{k: v for k, v in settings.items() if v is not None})
    title = re.sub(r"\W+", "_", Path(names[0]).stem).strip("_") or "files"
    try:
        return getattr(engine, read)(names, table_name=title, **options)
    except Exception as error:
        raise TableError(
            f"DuckDB cannot read {listing(names)}: {str(error).strip()}. Check the path or "
            'pattern; a pattern looks like "folder/*.parquet".'
        ) from error


def _reader(names: Sequence[str]) -> str:
    kinds = {_reader_of(name) for name in names}
    if len(kinds) != 1 or None in kinds:
        raise TableError(
            f"scan reads Parquet or CSV files of one kind, ending in {listing(READERS, 6)}; it was "
            f"given {listing(names)}."
        )
    return str(kinds.pop())


def _reader_of(name: str) -> str | None:
    ending = Path(name.removesuffix(".gz").removesuffix(".zst")).suffix.lower()
    return READERS.get(ending)

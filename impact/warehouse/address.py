"""Open a table by what a plan says of it: a pattern of files, or an address and a table's name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from impact.errors import TableError, listing, near
from impact.warehouse.scan import scan

__all__ = ["address_files", "open_table"]

IN_FILES = ("duckdb", "sqlite")
"""Databases that are one file, whose path may be relative."""


def open_table(
    address: str, table: str | None, folder: Path, *, memory_limit: str | None = None
) -> Any:
    """Open Parquet or CSV files, or a database's table, as an Ibis table that is only read.

    Parameters
    ----------
    address : a pattern such as "firms/*.parquet", or the address of a database such as
        "postgresql://server/census" or "duckdb://national.db"
    table : the database's table; None for files
    folder : what relative paths are relative to
    memory_limit : most memory that DuckDB may take

    Raises
    ------
    TableError : no file matches, a password in the address, no such table, or the database does
        not answer
    """
    if "://" not in address:
        files = address_files(address, folder)
        return scan(files or str(folder / address), memory_limit=memory_limit)
    parts = urlsplit(address)
    if parts.password is not None:
        raise TableError(
            f"the address of the database at {parts.hostname} holds a password, which whoever "
            "reads the plan would have. Leave it out; give it by the environment, for instance "
            "PGPASSWORD or ~/.pgpass for PostgreSQL."
        )
    if table is None:
        raise TableError(f'"{address}" is a database: name its table too, with table = "...".')
    engine = _connect(address, folder, memory_limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = engine.list_tables()
            found = engine.table(table) if table in known else None
    except Exception as error:
        raise TableError(f'"{address}" cannot show its tables: {str(error).strip()}.') from error
    if found is None:
        raise TableError(
            f'"{address}" has no table "{table}". {near(table, known)}'
            f"It has: {listing(sorted(known), 12)}."
        )
    return found


def address_files(address: str, folder: Path) -> list[Path]:
    """Return the files that a pattern or a database's address names, in order; none of a server."""
    if "://" not in address:
        return sorted(path for path in folder.glob(address) if path.is_file())
    file = _database_file(address, folder)
    return [file] if file is not None and file.is_file() else []


def _database_file(address: str, folder: Path) -> Path | None:
    """Return the file that a database is; None of a server."""
    parts = urlsplit(address)
    return folder / f"{parts.netloc}{parts.path}" if parts.scheme in IN_FILES else None


def _connect(address: str, folder: Path, memory_limit: str | None) -> Any:
    """Connect to a database, for reading alone where the engine knows that."""
    try:
        import ibis
    except ImportError as error:
        raise TableError(
            "tables outside memory need Ibis, which is not installed. Install it with "
            'pip install "impact-panel[scale]".'
        ) from error
    kind, file = urlsplit(address).scheme, _database_file(address, folder)
    if file is not None and not file.is_file():
        raise TableError(f'"{address}" names {file.name}, which is not there.')
    # Each engine raises errors of its own, for want of its package too.
    try:
        if kind == "duckdb":
            limit = {} if memory_limit is None else {"memory_limit": memory_limit}
            return ibis.duckdb.connect(str(file), read_only=True, **limit)
        return ibis.sqlite.connect(str(file)) if kind == "sqlite" else ibis.connect(address)
    except Exception as error:
        raise TableError(
            f'"{address}" does not answer: {str(error).strip()}. Check the address and the rights '
            f"to read it, and that the engine's package is installed (pip install "
            f'"ibis-framework[{kind.replace("postgresql", "postgres")}]").'
        ) from error

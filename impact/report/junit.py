"""What a command found, as JUnit XML, which every service for continuous integration reads."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree

from impact.errors import ReportError

__all__ = ["Case", "run_case", "write_junit"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """One plan or folder: the exit code of its command, what was printed, and the seconds."""

    name: str
    code: int
    printed: str
    seconds: float


def run_case(name: str, command: Callable[[], int]) -> Case:
    """Run a command; keep what it prints, which is printed all the same."""
    kept = io.StringIO()
    started = time.perf_counter()
    with redirect_stdout(_Tee(sys.stdout, kept)), redirect_stderr(_Tee(sys.stderr, kept)):
        code = command()
    return Case(name, code, kept.getvalue(), time.perf_counter() - started)


def write_junit(path: Path, suite: str, cases: Iterable[Case]) -> None:
    """Write cases as JUnit XML: code 1 is an error, any other but 0 a failure.

    Raises
    ------
    ReportError : the file cannot be written
    """
    listed = list(cases)
    errors = [case for case in listed if case.code == 1]
    failures = [case for case in listed if case.code not in (0, 1)]
    root = ElementTree.Element(
        "testsuite",
        name=suite,
        tests=str(len(listed)),
        errors=str(len(errors)),
        failures=str(len(failures)),
        time=f"{sum(case.seconds for case in listed):.3f}",
    )
    for case in listed:
        entry = ElementTree.SubElement(
            root, "testcase", classname=suite, name=case.name, time=f"{case.seconds:.3f}"
        )
        printed = _NOT_XML.sub("�", case.printed)
        if case.code:
            kind = "error" if case.code == 1 else "failure"
            first = (printed.strip().splitlines() or [f"exit code {case.code}"])[0]
            found = ElementTree.SubElement(entry, kind, message=first, type=f"exit {case.code}")
            found.text = printed
        else:
            ElementTree.SubElement(entry, "system-out").text = printed
    ElementTree.indent(root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise ReportError(
            f"the file {path} of --junit cannot be written: {error.strerror}. Name another."
        ) from None


class _Tee(io.TextIOBase):
    """A stream that writes to two."""

    def __init__(self, first: TextIO, second: TextIO) -> None:
        self.first, self.second = first, second

    def write(self, text: str) -> int:
        self.first.write(text)
        return self.second.write(text)

    def flush(self) -> None:
        self.first.flush()

    def isatty(self) -> bool:
        return self.first.isatty()

    def fileno(self) -> int:
        return self.first.fileno()

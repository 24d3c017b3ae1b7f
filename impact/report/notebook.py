"""Notebooks as programs: their parameters checked, run in a fixed environment, made comparable."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impact.errors import ReportError, SpecError, listing, near
from impact.report.engine import register_engine

__all__ = [
    "Execution",
    "check_parameters",
    "notebook_parameters",
    "run_notebook",
    "without_outputs",
]

PARAMETERS_TAG = "parameters"
CELL_TIMEOUT = 1800
START_TIMEOUT = 180
LOG = "kernel.log"
LONGEST_SOCKET_FOLDER = 90  # a socket's whole path may have 103 bytes on some systems

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_WARNING = re.compile(r"^\S*?(?:[^\s/\\:]+):\d+: (\w*Warning: .*)$", re.MULTILINE)
_LOADED_MODULES = """
import json as _json, sys as _sys
print(_json.dumps(sorted(
    module.__file__ for name, module in list(_sys.modules.items())
    if name.partition(".")[0] == "impact" and getattr(module, "__file__", None)
)))
"""


@dataclass(frozen=True)
class Execution:
    """A notebook as it ran.

    Parameters
    ----------
    notebook : the executed notebook, normalised, as JSON text
    modules : the files of the package that were loaded
    warnings : the warnings the cells gave, each once
    """

    notebook: str
    modules: tuple[Path, ...]
    warnings: tuple[str, ...]


def notebook_parameters(path: Path) -> dict[str, Any]:
    """Return the parameters of a notebook: names and default values of its tagged cell.

    Raises
    ------
    ReportError : the notebook has no cell tagged "parameters", or a default is no plain literal
    """
    content = _read(path)
    tagged = [
        cell
        for cell in content["cells"]
        if PARAMETERS_TAG in cell.get("metadata", {}).get("tags", [])
    ]
    if len(tagged) != 1:
        raise ReportError(
            f'notebook {path.name} has {len(tagged)} cells tagged "{PARAMETERS_TAG}"; it needs '
            "exactly one, which names its parameters and their defaults."
        )
    declared: dict[str, Any] = {}
    try:
        statements = ast.parse("".join(tagged[0]["source"])).body
    except SyntaxError as error:
        raise ReportError(
            f"notebook {path.name}, the cell of parameters: {error.msg} in line {error.lineno}. "
            "Write one plain assignment a line."
        ) from None
    for statement in statements:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        names = [t.id for t in [*targets, target] if isinstance(t, ast.Name)]
        default: ast.expr | None = getattr(statement, "value", None)
        if default is None:
            continue
        try:
            declared |= dict.fromkeys(names, ast.literal_eval(default))
        except ValueError:
            raise ReportError(
                f"notebook {path.name}, parameter {listing(names)}: the default must be a plain "
                f"literal (a number, a string, a list ...), not {ast.unparse(default)}."
            ) from None
    return declared


def check_parameters(given: Mapping[str, Any], declared: Mapping[str, Any], notebook: str) -> None:
    """Refuse parameters a notebook does not have, or of another type than its default.

    Raises
    ------
    SpecError : all findings at once, near names included
    """
    findings = [
        f'it has no parameter "{name}". {near(name, declared)}'
        f"Known: {', '.join(declared) or 'none that a plan may set'}."
        for name in given
        if name not in declared
    ]
    for name, value in given.items():
        default = declared.get(name)
        if default is not None and not _same_type(value, default):
            findings.append(
                f"{name} must be {_type_name(default)}, as {default!r} is; it was {value!r}."
            )
    if findings:
        raise SpecError(f"notebook {notebook}: " + " ".join(findings))


def run_notebook(
    path: Path,
    parameters: Mapping[str, Any],
    environment: Mapping[str, str],
    private: Path,
    *,
    progress: bool = True,
    here: bool = False,
) -> Execution:
    """Run a notebook with its parameters in its own folder and environment.

    Parameters
    ----------
    path : the notebook; its folder is the working directory, as in JupyterLab
    parameters : values that replace the defaults of the tagged cell
    environment : the kernel's variables
    private : a folder of this build, for the kernel's connection file
    progress : whether to show a progress bar
    here : whether the cells run in this process instead of a kernel, which changes the process's
        environment and leaves its state behind; see `impact.report.preloaded`

    Raises
    ------
    ReportError : a cell failed, with its number, its error and its source
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    content = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    content.cells.append(nbformat.v4.new_code_cell(_LOADED_MODULES))
    content.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    how: dict[str, Any] = (
        {"engine_name": register_engine()}
        if here
        else {"kernel_manager_class": _manager_class(environment, private)}
    )
    try:
        with _placed(path.parent, environment) if here else _no_child_left():
            executed = papermill.execute_notebook(
                content,
                None,
                parameters=dict(parameters),
                cwd=path.parent,
                progress_bar={"desc": path.stem, "leave": False} if progress else False,
                start_timeout=START_TIMEOUT,
                execution_timeout=CELL_TIMEOUT,
                **how,
            )
    except PapermillExecutionError as error:
        cell = error.source.strip()
        raise ReportError(
            f"notebook {path.name}, cell {error.exec_count}: {error.ename}: {error.evalue}\n"
            "The cell was:\n    " + cell.replace("\n", "\n    ")
        ) from None
    except (DeadKernelError, CellTimeoutError) as error:
        raise ReportError(
            f"notebook {path.name}: {type(error).__name__}: {error}. The kernel ended or took "
            f"longer than {CELL_TIMEOUT} s for a cell; its last words were: {_last_words(private)}"
        ) from None
    probe = executed.cells.pop()
    modules = json.loads("".join(output.get("text", "") for output in probe.outputs))
    warnings = _warnings(executed)
    return Execution(normalise(executed), tuple(Path(name) for name in modules), warnings)


@contextmanager
def _no_child_left() -> Iterator[None]:
    """End a kernel that was cut off while it started, or it would write where nothing is left."""
    import psutil

    this = psutil.Process()
    before = set(this.children())
    try:
        yield
    finally:
        late = [child for child in this.children() if child not in before]
        for child in late:
            child.kill()
        psutil.wait_procs(late)


@contextmanager
def _placed(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Be in the folder and environment that a kernel would be in."""
    os.environ.update(environment)
    with chdir(folder):
        yield


def normalise(notebook: Any) -> str:
    """Return a notebook as text without what differs from run to run.

    Times, paths, random ids, addresses, messages on stderr and the interpreter's patch version go;
    a picture or table keeps no plain-text twin; what a cell prints is one piece, however many
    messages the kernel sent it in.
    """
    kernel = notebook.metadata["kernelspec"]
    notebook.metadata.clear()
    notebook.metadata.update({"kernelspec": kernel, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"c{number:03d}"
        tags = cell.metadata.get("tags")
        cell.metadata.clear()
        if tags:
            cell.metadata["tags"] = sorted(tags)
        if cell.cell_type == "code":
            kept = [_normalise_output(o) for o in cell.outputs if not _is_stderr(o)]
            cell["outputs"] = _joined_prints(kept)
    notebook["nbformat_minor"] = 5
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def without_outputs(notebook: str) -> str:
    """Return an executed notebook without its outputs, which would show what a report hides."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _normalise_output(output: Any) -> Any:
    """Drop an output's metadata and its memory addresses."""
    data = output.get("data")
    if data is not None:
        if len(data) > 1:
            data.pop("text/plain", None)
        for kind, content in data.items():
            if isinstance(content, str) and kind.startswith("text/"):
                data[kind] = _ADDRESS.sub("", content)
        output["metadata"] = {}
    if "text" in output:
        output["text"] = _ADDRESS.sub("", output["text"])
    return output


def _joined_prints(outputs: list[Any]) -> list[Any]:
    """Join what was printed in a row: when the kernel flushes depends on the machine's load."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output["output_type"] == joined[-1]["output_type"] == "stream":
            joined[-1]["text"] += output["text"]
        else:
            joined.append(output)
    return joined


def _is_stderr(output: Any) -> bool:
    return bool(output.get("output_type") == "stream" and output.get("name") == "stderr")


def _warnings(notebook: Any) -> tuple[str, ...]:
    """Collect the warnings on stderr, each once, in order."""
    texts = [
        output["text"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if _is_stderr(output)
    ]
    return tuple(dict.fromkeys(_WARNING.findall("\n".join(texts))))


def _manager_class(environment: Mapping[str, str], private: Path) -> type:
    """Make the manager of one kernel: this interpreter, the given environment, local sockets.

    Where the temporary folder's path is too long for a socket, the loopback interface serves.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    base: Any = AsyncKernelManager

    class ReportKernelManager(base):  # type: ignore[misc]
        kernel_spec = KernelSpec(
            argv=[
                sys.executable,
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
                "--matplotlib=inline",  # so that a figure shows, whether or not pyplot is loaded
            ],
            display_name="Python 3",
            language="python",
        )

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            if sys.platform != "win32" and len(str(private)) <= LONGEST_SOCKET_FOLDER:
                self.transport = "ipc"
                self.ip = str(private / "kernel")
            self.connection_file = str(private / "kernel.json")

        async def start_kernel(self, **settings: Any) -> None:
            with (private / LOG).open("wb") as log:
                await super().start_kernel(env=dict(environment), stderr=log, **settings)

    return ReportKernelManager


def _last_words(private: Path) -> str:
    """Return the end of what the kernel wrote on stderr."""
    log = private / LOG
    words = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return words.strip()[-500:] or "none"


def _read(path: Path) -> dict[str, Any]:
    """Read a notebook's JSON."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"notebook {path} cannot be read: {error}") from None
    if not isinstance(content, dict) or "cells" not in content:
        raise ReportError(f"{path} is no notebook: it holds no cells. Restore it, or name another.")
    return content


def _same_type(value: object, default: object) -> bool:
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    return isinstance(value, type(default))


def _type_name(default: object) -> str:
    names: dict[type, str] = {
        bool: "true or false",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(default), "a value")

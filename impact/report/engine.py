"""A papermill engine without a kernel: the cells run in this process, by the kernel's own shell.

It is meant for a process that was made for one notebook and ends with it; see
`impact.report.preloaded`. What a cell prints and shows is caught where a kernel would send it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOBase
from typing import Any

from impact.errors import ReportError

__all__ = ["ENGINE", "register_engine"]

ENGINE = "impact"
INLINE = "module://matplotlib_inline.backend_inline"


def register_engine() -> str:
    """Make the engine known to papermill and return its name."""
    from papermill.engines import Engine, papermill_engines

    class HereEngine(Engine):  # type: ignore[misc]
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **_: Any) -> None:
            """Run every cell in order; stop after the first that fails."""
            outbox = _Outbox()
            with _shell(outbox) as shell:
                for index, cell in enumerate(nb_man.nb.cells):
                    if cell.cell_type != "code" or not cell.source.strip():
                        continue
                    nb_man.cell_start(cell, index)
                    cell.execution_count = shell.execution_count
                    ran = shell.run_cell(cell.source, store_history=True)
                    cell.outputs = outbox.emptied()
                    if not ran.success:
                        error = ran.error_before_exec or ran.error_in_exec
                        cell.outputs = [_error_output(error)]
                        nb_man.cell_exception(cell, index)
                        break
                    nb_man.cell_complete(cell, index)

    papermill_engines.register(ENGINE, HereEngine)
    return ENGINE


def _error_output(error: BaseException) -> Any:
    """Return the output that says what a cell failed with."""
    from nbformat.v4 import new_output

    return new_output("error", ename=type(error).__name__, evalue=str(error), traceback=[])


class _Outbox:
    """What a cell has sent so far, as outputs of a notebook."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []

    def stream(self, name: str, text: str) -> None:
        """Add text to the stream, in one piece with the text just before."""
        from nbformat.v4 import new_output

        last = self.outputs[-1] if self.outputs else {}
        if last.get("name") == name:
            last["text"] += text
        else:
            self.outputs.append(new_output("stream", name=name, text=text))

    def message(self, kind: str, content: dict[str, Any]) -> None:
        """Add what a kernel would send."""
        from nbformat.v4 import output_from_msg

        if kind == "error":
            return  # the engine has it from the shell
        if kind not in ("execute_result", "display_data"):
            raise ReportError(
                f'a cell sends "{kind}", which changes what was shown before; in a report each '
                "output stays. Show the last state only, or build the report by itself: "
                "impact report PLAN"
            )
        self.outputs.append(output_from_msg({"header": {"msg_type": kind}, "content": content}))

    def emptied(self) -> list[Any]:
        """Return the outputs and begin anew."""
        outputs, self.outputs = self.outputs, []
        return outputs


class _Stream(TextIOBase):
    """A standard stream whose text becomes output of the cell."""

    def __init__(self, outbox: _Outbox, name: str) -> None:
        self.outbox, self.stream_name = outbox, name

    def write(self, text: str) -> int:
        if text:
            self.outbox.stream(self.stream_name, text)
        return len(text)

    def writable(self) -> bool:
        return True


@contextmanager
def _shell(outbox: _Outbox) -> Iterator[Any]:
    """Give the shell of a kernel, its messages and the standard streams going to the outbox."""
    from ipykernel.zmqshell import ZMQInteractiveShell
    from jupyter_client.session import Session
    from matplotlib_inline import backend_inline
    from traitlets.config import Config

    class Sender(Session):
        def send(
            self, stream: Any, msg_or_type: Any, content: Any = None, *_: Any, **__: Any
        ) -> Any:
            if isinstance(msg_or_type, str):
                outbox.message(msg_or_type, content)
            else:
                outbox.message(msg_or_type["header"]["msg_type"], msg_or_type["content"])

    settings = Config({"HistoryManager": {"enabled": False}})
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Stream(outbox, "stdout"), _Stream(outbox, "stderr")
    try:
        shell: Any = ZMQInteractiveShell.instance(config=settings)
        shell.display_pub.session = shell.displayhook.session = Sender()
        show_figures: Any = backend_inline.configure_inline_support
        show_figures(shell, INLINE)
        yield shell
    finally:
        sys.stdout, sys.stderr = before

"""Reports on the workers of a Dask scheduler: the same bytes, and words for what may be amiss."""

import gc
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from test_report_matrix import contents, firms_of, write_project

from impact.cli import main
from impact.errors import ReportError
from impact.report.cluster import cluster_outcomes
from impact.report.matrix import build_matrix


def stand_in(monkeypatch, answer):
    """Put a module in Dask's place whose scheduler gives this answer, or raises it."""

    class Client:
        def __init__(self, address, timeout):
            if isinstance(answer, OSError):
                raise answer

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def run(self, work):
            if isinstance(answer, Exception):
                raise answer
            return answer

    module = ModuleType("distributed")
    module.Client = Client
    monkeypatch.setitem(sys.modules, "distributed", module)


def run(address, work=abs, items=(1, -2)):
    return dict(cluster_outcomes(address, work, items, gc.collect))


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ReportError, match=r'pip install "impact-panel\[cluster\]"'):
        run("tcp://10.0.0.5:8786")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (OSError("Timed out after 10 s"), r'no scheduler answers at "tcp://x:1": Timed out'),
        ({}, r"tcp://x:1 has no worker. .*dask worker tcp://x:1"),
        (ModuleNotFoundError("No module named 'impact'"), r"a worker .* lacks this package"),
    ],
)
def test_a_cluster_that_cannot_build_reports_is_refused(monkeypatch, answer, words):
    stand_in(monkeypatch, answer)
    with pytest.raises(ReportError, match=words):
        run("tcp://x:1")


def test_an_address_where_nobody_answers(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("impact.report.cluster.PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(ReportError, match=f'no scheduler answers at "{address}"'):
            run(address)


def die_once(folder):
    """End this worker's process the first time."""
    mark = Path(folder, "died")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
    ) as running:
        yield running


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_bytes_as_this_machine(cluster, tmp_path, monkeypatch, capsys):
    waves = {3: 0.5}
    frame = pd.concat([firms_of("A", 1, cohorts=waves), firms_of("B", 2, cohorts=waves)])
    here = build_matrix(write_project(tmp_path / "1/firms", frame), "province", progress=False)
    write_project(tmp_path / "2/firms", frame)
    monkeypatch.chdir(tmp_path / "2")
    given = ["--over", "province", "--quiet", "--scheduler", cluster.scheduler_address]
    assert main(["matrix", "firms", *given]) == 0
    assert "2 built" in capsys.readouterr().out
    assert contents(tmp_path / "2/firms/by-province") == contents(here.folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_is_replaced_and_work_it_always_dies_of_is_told(cluster, tmp_path):
    address, folder = cluster.scheduler_address, str(tmp_path)
    assert run(address, die_once, [folder]) == {folder: "done"}
    assert (tmp_path / "died").exists()
    lost = run(address, die, [1])[1]
    assert isinstance(lost, ReportError)
    assert "ended while they were at it (KilledWorker; out of memory, as a rule)" in str(lost)

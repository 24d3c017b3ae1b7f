"""Independent fits by any number of workers: the same bytes, and a worker that dies is replaced."""

import os
import pickle
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import did
import pandas as pd
import pytest

from impact import CallawaySantAnna, sensitivity
from impact.errors import EstimationError
from impact.kernels.parallel import run_jobs

joblib = pytest.importorskip("joblib")


def die_once(folder, number):
    """Kill the process that works on 3, the first time."""
    marker = Path(folder) / "died"
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_always(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refits():
    frame = did.staggered(n_units=60, periods=7, cohorts=(4, 5))
    result = CallawaySantAnna().fit(did.design(frame, clusters="cluster"))
    findings = [
        sensitivity.placebo_in_space(result, draws=4, seed=2),
        sensitivity.placebo_in_time(result),
        sensitivity.leave_one_out(result, by="cohort"),
        sensitivity.specification_curve(result, draws=1),
    ]
    return pickle.dumps([finding.table.to_csv() for finding in findings])


def test_without_a_cluster_nothing_is_imported():
    code = (
        "import sys; from impact.kernels.parallel import run_jobs;"
        "print(run_jobs(abs, [-1, 2]), 'joblib' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[1, 2] False"


def test_outcomes_keep_the_order_of_items():
    with joblib.parallel_config(backend="threading", n_jobs=3):
        assert run_jobs(partial(pow, 2), range(20)) == [2**k for k in range(20)]


def test_an_error_in_the_work_is_raised():
    with joblib.parallel_config(backend="threading", n_jobs=2), pytest.raises(ZeroDivisionError):
        run_jobs(lambda x: 1 / x, [1, 0])


@pytest.mark.slow
def test_refits_give_the_same_bytes_with_any_number_of_workers():
    alone = refits()
    for workers in (1, 2):
        with joblib.parallel_config(backend="loky", n_jobs=workers):
            assert refits() == alone


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs")
def test_a_worker_that_dies_costs_nothing_but_time(tmp_path):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert run_jobs(partial(die_once, str(tmp_path)), range(8)) == [k * k for k in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs")
def test_workers_that_always_die_are_an_error():
    with (
        joblib.parallel_config(backend="loky", n_jobs=2),
        pytest.raises(EstimationError, match="ended 3 times at task [12] of 4, [01], or beside it"),
    ):
        run_jobs(die_always, range(4))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_with_a_killed_worker(tmp_path):
    distributed = pytest.importorskip("distributed")
    alone = refits()
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert run_jobs(partial(die_once, str(tmp_path)), range(8)) == [k * k for k in range(8)]
        assert refits() == alone
        with pytest.raises(EstimationError, match="again and again at task 2 of 4, 1, or beside"):
            run_jobs(die_always, range(4))
        assert run_jobs(abs, [-1, 2]) == [1, 2]
    assert (tmp_path / "died").exists()
    assert pd.notna(alone)

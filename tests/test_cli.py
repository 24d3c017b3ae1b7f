"""The command line: what it prints and the code it ends with."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from report_project import make_project, write_notebook

from impact.cli import main
from impact.report.build import Checked

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("project") / "reports")
    assert main(["report", str(folder), "--quiet"]) == 0
    return folder


def test_a_built_report_is_up_to_date(folder, capsys):
    assert main(["report", str(folder / "evaluation.toml")]) == 0
    assert "small: up to date. Open" in capsys.readouterr().out


def test_a_check_of_an_untouched_report_is_identical(folder, capsys):
    assert main(["report", str(folder), "--check", "--quiet"]) == 0
    assert "small: identical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verdict", "code"), [("identical", 0), ("altered", 3), ("outdated", 4), ("environment", 5)]
)
def test_check_ends_with_the_code_of_its_verdict(folder, capsys, monkeypatch, verdict, code):
    found = Checked(verdict, ("results.json",))
    monkeypatch.setattr("impact.report.build.check_report", lambda *_, **__: found)
    assert main(["report", str(folder), "--check"]) == code
    assert "results.json" in capsys.readouterr().out


def test_an_invalid_plan_ends_with_2_and_does_not_stop_the_others(folder, tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere"), str(folder)]) == 2
    printed = capsys.readouterr()
    assert "there is no plan" in printed.err
    assert "small: up to date" in printed.out


def test_a_failed_build_ends_with_1(tmp_path, capsys):
    assert main(["report", str(make_project(tmp_path, "1 / 0")), "--quiet"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interruption_ends_with_130(tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("impact.report.build.run_notebook", interrupt)
    assert main(["report", str(make_project(tmp_path))]) == 130
    assert "untouched" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("moment", ["kernel starts", "cell runs"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_nothing_behind(tmp_path, name, moment):
    """As from a keyboard, a batch system that needs the machine, a terminal that is closed."""
    folder = make_project(
        tmp_path, "import pathlib, time\npathlib.Path('running').touch()\ntime.sleep(60)"
    )
    number = getattr(signal, name)
    temporary = tmp_path / "temporary" / ("long" * 20)
    temporary.mkdir(parents=True)
    before = {path.name for path in folder.iterdir()}
    command = [sys.executable, "-m", "impact", "report", str(folder), "--quiet"]
    place, sign = (
        (folder, "running") if moment == "cell runs" else (temporary, "impact-kernel-*/kernel.json")
    )
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temporary)}) as build:
        deadline = time.monotonic() + 60
        while not list(place.glob(sign)) and time.monotonic() < deadline:
            time.sleep(0.05)
        build.send_signal(number)
        assert build.wait(timeout=30) == 128 + number
    assert {path.name for path in folder.iterdir()} - before <= {"running"}
    assert not list(temporary.glob("impact-*"))


def test_a_misspelt_outcome_ends_with_2_before_a_kernel_starts(tmp_path, capsys, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    notebook = ROOT / "notebooks" / "evaluation.ipynb"
    shutil.copy(notebook, tmp_path / "notebooks")
    assert main(["new", "firms", str(tmp_path)]) == 0
    plan = tmp_path / "reports" / "firms" / "evaluation.toml"
    text = plan.read_text(encoding="utf-8").replace('name = "employ"', 'name = "emloy"')
    plan.write_text(text, encoding="utf-8")
    monkeypatch.setattr("impact.report.build.run_notebook", None)
    assert main(["report", str(plan)]) == 2
    assert 'Did you mean "employ"?' in capsys.readouterr().err


def test_a_check_without_a_manifest_ends_with_2(tmp_path, capsys):
    assert main(["report", "--check", str(make_project(tmp_path))]) == 2
    assert "no manifest.json to compare with" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", "1", '"text"', "{}", "{", ""])
def test_a_damaged_manifest_ends_with_2(tmp_path, capsys, content):
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    assert main(["verify", str(tmp_path)]) == 2
    assert "holds no manifest.json of a report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as a table"),
        ("đơn vị,năm".encode("utf-16"), "cannot be read as a table"),
    ],
)
def test_data_that_are_no_table_end_with_2(tmp_path, capsys, content, words):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "evaluation.ipynb", tmp_path / "notebooks")
    assert main(["new", "firms", str(tmp_path)]) == 0
    plan = tmp_path / "reports" / "firms" / "evaluation.toml"
    (plan.parent / "data.csv").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    files = f'files = [{{ path = "data.csv", sha256 = "{digest}" }}]'
    text = re.sub(r"(?m)^dataset = .*$", files, plan.read_text(encoding="utf-8"))
    plan.write_text(text, encoding="utf-8")
    assert main(["report", str(plan)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "is no notebook: it holds no cells"),
        ("[1]", "is no notebook"),
        ("{", "cannot be read"),
    ],
)
def test_a_damaged_notebook_is_named(tmp_path, capsys, content, words):
    folder = make_project(tmp_path)
    (folder / "small.ipynb").write_text(content, encoding="utf-8")
    assert main(["report", str(folder)]) == 2
    assert words in capsys.readouterr().err


def test_parameters_that_are_no_python_are_shown(tmp_path, capsys):
    folder = make_project(tmp_path)
    write_notebook(folder / "small.ipynb", parameters="count = 3 jobs")
    assert main(["report", str(folder)]) == 2
    assert "the cell of parameters: invalid syntax in line 1" in capsys.readouterr().err


def test_a_misspelt_folder_is_answered_with_the_nearest(folder, capsys):
    assert main(["report", str(folder.parent / "smal")]) == 2
    assert 'Did you mean "small"?' in capsys.readouterr().err


def test_a_name_that_cannot_be_one_writes_nothing(tmp_path, capsys):
    assert main(["new", "Bad Name", str(tmp_path)]) == 1
    assert "small letters, digits and single hyphens" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_registers_nothing(tmp_path, capsys, monkeypatch):
    folder = make_project(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert main(["plan", "freeze", str(folder)]) == 1
    assert "nothing was registered" in capsys.readouterr().err


def test_a_list_of_no_folder_ends_with_2(tmp_path, capsys):
    assert main(["list", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_list_shows_what_there_is(folder, capsys):
    assert main(["list", str(folder.parent.parent)]) == 0
    shown = capsys.readouterr().out
    assert "Small" in shown
    assert "michigan_grants" in shown
    assert "CallawaySantAnna" in shown


def test_list_names_an_invalid_plan(tmp_path, capsys):
    folder = make_project(tmp_path / "reports")
    (folder / "evaluation.toml").write_text("[evaluation]\n")
    assert main(["list", str(tmp_path)]) == 0
    assert "the plan is invalid" in capsys.readouterr().out


def test_help_documents_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "a plan, its data or the command is invalid" in capsys.readouterr().out


def test_a_wrong_command_ends_with_2():
    run = subprocess.run(
        [sys.executable, "-m", "impact", "rport"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "rport" in run.stderr


def test_a_reader_that_stops_early_is_no_error():
    shown = subprocess.run(
        f"{sys.executable} -m impact list | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stderr == ""
    assert shown.stdout.strip() == "Evaluations"


def test_junit_counts_what_passed_failed_and_broke(folder, tmp_path):
    from xml.etree import ElementTree

    file = tmp_path / "found" / "junit.xml"
    broken = make_project(tmp_path / "broken", "1 / 0")
    plans = [str(folder), str(tmp_path / "nowhere"), str(broken)]
    assert main(["report", *plans, "--quiet", "--junit", str(file)]) == 2
    suite = ElementTree.parse(file).getroot()
    counts = {name: suite.get(name) for name in ("name", "tests", "errors", "failures")}
    assert counts == {"name": "impact report", "tests": "3", "errors": "1", "failures": "1"}
    passed, failed, errored = suite
    assert "small: up to date" in passed.findtext("system-out")
    assert "there is no plan" in failed.find("failure").get("message")
    assert failed.find("failure").get("type") == "exit 2"
    assert "ZeroDivisionError" in errored.find("error").get("message")


def test_junit_of_check_and_verify_and_of_what_xml_cannot_hold(folder, tmp_path, monkeypatch):
    from xml.etree import ElementTree

    for command in ("check", "verify"):
        file = tmp_path / f"{command}.xml"
        assert main([command, str(folder), "--junit", str(file)]) == 0
        assert ElementTree.parse(file).getroot().get("name") == f"impact {command}"

    def odd(*_, **__):
        print("a\x00b \x1b[1m")
        return 3

    monkeypatch.setattr("impact.cli._verify_folder", odd)
    assert main(["verify", str(folder), "--junit", str(file)]) == 3
    assert ElementTree.parse(file).getroot()[0].find("failure").get("message").startswith("a�b")


def test_a_junit_file_that_cannot_be_written_is_named(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["check", str(folder), "--junit", str(tmp_path / "file" / "junit.xml")]) == 1
    assert "--junit cannot be written" in capsys.readouterr().err


def test_lab_opens_the_tutorials_or_names_what_is_missing(tmp_path, capsys, monkeypatch):
    import importlib.util
    import subprocess

    started = []
    monkeypatch.setattr(subprocess, "call", lambda command: started.append(command) or 0)
    assert main(["lab", str(tmp_path)]) == 2
    assert "impact lab FOLDER" in capsys.readouterr().err
    (tmp_path / "notebooks" / "tutorials").mkdir(parents=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["lab", str(tmp_path)]) == 2
    assert "impact-panel[lab]" in capsys.readouterr().err
    assert not started
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert main(["lab", str(tmp_path)]) == 0
    assert started[0][1:] == ["-m", "jupyterlab", str(tmp_path / "notebooks" / "tutorials")]

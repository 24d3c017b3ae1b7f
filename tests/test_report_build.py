"""Reports as a whole: built, skipped, checked, refused; nothing half-made under a final name."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_project import COMPUTE, WRITE, make_project, write_notebook

import impact
from impact.errors import ReportError, SpecError
from impact.evaluation import Evaluation
from impact.report.build import (
    Checked,
    build_report,
    check_report,
    compare_manifests,
    is_current,
)
from impact.report.manifest import changed_inputs, read_manifest

OUTPUTS = {
    "figures/path.svg",
    "notebook.ipynb",
    "report.html",
    "report.vi.html",
    "results.json",
    "tables/draws.csv",
}


def build(folder):
    return build_report(Evaluation.read(folder), progress=False)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("first"))
    build(folder)
    return folder


@pytest.fixture
def project(built, tmp_path):
    """A built report in a folder of its own, free to be changed."""
    return Path(shutil.copytree(built, tmp_path / "small"))


def test_a_report_is_complete(built):
    manifest = read_manifest(built)
    assert set(manifest["outputs"]) == OUTPUTS
    assert all((built / name).is_file() for name in OUTPUTS)
    assert manifest["warnings"] == ["UserWarning: a warning of the notebook"]
    assert manifest["key"]["code"]["report/results.py"]
    assert not list(built.glob(".building-*"))


def test_nothing_of_the_place_is_in_a_report(built):
    for name, content in contents(built).items():
        assert str(built).encode() not in content, name
        assert str(Path.home()).encode() + b"/" not in content, name


def test_two_builds_in_two_places_are_the_same_bytes(built, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Ho_Chi_Minh")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    other = make_project(tmp_path / "a" / "second")
    build(other)
    assert contents(other) == contents(built)


def test_an_unchanged_report_is_current_and_a_changed_one_is_not(project):
    plan = Evaluation.read(project)
    assert is_current(plan)
    (project / "report.vi.html").write_text("other")
    assert not is_current(plan)


def test_what_changed_is_named(project):
    file = project / "evaluation.toml"
    file.write_text(file.read_text() + "\ncount = 4\n")
    write_notebook(project / "small.ipynb", COMPUTE + "\n1", WRITE)
    assert changed_inputs(read_manifest(project), Evaluation.read(project)) == ["plan", "notebook"]


def test_outputs_of_a_notebook_are_no_change_of_it(project):
    file = project / "small.ipynb"
    content = json.loads(file.read_text())
    content["cells"][1]["execution_count"] = 7
    file.write_text(json.dumps(content))
    assert is_current(Evaluation.read(project))


def test_a_rebuild_is_identical_or_names_the_altered_file(project):
    plan = Evaluation.read(project)
    assert check_report(plan, progress=False).verdict == "identical"
    page = project / "report.html"
    page.write_text(page.read_text().replace("Results", "Result"))
    checked = check_report(plan, progress=False)
    assert (checked.verdict, checked.differences) == ("altered", ("report.html",))


def test_a_check_tells_inputs_environment_and_alteration_apart(built):
    plan = Evaluation.read(built)
    fresh = read_manifest(built)

    def checked(outputs, **key):
        published = fresh | {"key": fresh["key"] | key, "outputs": fresh["outputs"] | outputs}
        return compare_manifests(published, fresh, plan)

    other = {"results.json": "0" * 64}
    assert checked({}, lock="0").verdict == "identical"
    assert checked(other) == Checked("altered", ("results.json",))
    assert checked(other, plan="0") == Checked("outdated", ("plan",))
    assert checked(other, data={"d.csv": "0"}) == Checked("outdated", ("data d.csv",))
    assert checked(other, python="2.7") == Checked("environment", ("python", "results.json"))


def test_a_check_needs_something_to_compare_with(tmp_path):
    with pytest.raises(SpecError, match=r"no manifest.json to compare with"):
        check_report(Evaluation.read(make_project(tmp_path)), progress=False)


def test_a_failing_cell_shows_its_source_and_leaves_the_old_report(project):
    before = contents(project)
    write_notebook(project / "small.ipynb", COMPUTE, "total = 1\ntotal / 0")
    with pytest.raises(ReportError, match=r"ZeroDivisionError: division by zero") as caught:
        build(project)
    assert "    total / 0" in str(caught.value)
    after = contents(project)
    assert {name for name in after if after[name] != before.get(name)} == {"small.ipynb"}


def test_a_notebook_that_writes_no_record_is_refused(tmp_path):
    folder = make_project(tmp_path, "1 + 1")
    with pytest.raises(ReportError, match=r"must be record.write\(\)"):
        build(folder)
    assert set(contents(folder)) == {"evaluation.toml", "small.ipynb"}


def test_unknown_parameters_are_refused_before_a_kernel_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("impact.report.build.run_notebook", lambda *a, **k: pytest.fail("ran"))
    with pytest.raises(SpecError, match='no parameter "cuont". Did you mean "count"'):
        build(make_project(tmp_path, parameters="cuont = 4"))


def test_the_kernel_runs_this_very_package(project, tmp_path):
    """An interpreter that would import another copy gives a manifest of the code that ran."""
    copy = tmp_path / "copy"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(impact.__file__).parent, copy / "impact", ignore=ignore)
    command = [sys.executable, "-m", "impact", "report", str(project), "--force", "--quiet"]
    subprocess.run(command, cwd=copy, check=True, env={**os.environ, "PYTHONPATH": str(copy)})
    manifest = read_manifest(project)
    assert "__init__.py" in manifest["key"]["code"]
    without_lock = ["lock"]
    assert changed_inputs(manifest, Evaluation.read(project)) == without_lock


def test_a_notebook_that_runs_another_copy_of_the_package_is_refused(tmp_path):
    copy = tmp_path / "copy"
    (copy / "impact").mkdir(parents=True)
    (copy / "impact" / "other.py").write_text("", encoding="utf-8")
    source = f"import impact\nimpact.__path__.append({str(copy / 'impact')!r})\nimport impact.other"
    project = make_project(tmp_path, COMPUTE, source, WRITE)
    with pytest.raises(ReportError, match="of another copy of the package, first .*other.py"):
        build_report(Evaluation.read(project), progress=False)


def test_the_plan_cannot_set_its_own_place(tmp_path, monkeypatch):
    monkeypatch.setattr("impact.report.build.run_notebook", lambda *a, **k: pytest.fail("ran"))
    with pytest.raises(SpecError, match='no parameter "evaluation"'):
        build(make_project(tmp_path, parameters='evaluation = "x"'))


def test_a_folder_that_cannot_be_written_is_named(project, monkeypatch):
    before = contents(project)

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ReportError, match="cannot be written .Permission denied"):
        build(project)
    assert contents(project) == before


def test_a_full_disk_leaves_the_old_report(project, monkeypatch):
    before = contents(project)
    write = Path.write_text

    def fill(path, *given, **more):
        if path.name == "report.vi.html":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, *given, **more)

    monkeypatch.setattr(Path, "write_text", fill)
    with pytest.raises(ReportError, match=r"No space left on device.*untouched"):
        build(project)
    assert contents(project) == before


def test_an_interrupted_build_leaves_the_old_report(project, monkeypatch):
    before = contents(project)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("impact.report.build.run_notebook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(project)
    assert contents(project) == before


def test_remains_of_a_killed_build_go_with_the_next(project):
    stale = project / ".building-999999999"
    stale.mkdir()
    (stale / "half").write_text("made")
    build(project)
    assert not stale.exists()


def test_outputs_no_longer_made_go(project):
    write_notebook(project / "small.ipynb", COMPUTE, WRITE.replace('"draws",', '"sample",'))
    build(project)
    assert not (project / "tables" / "draws.csv").exists()
    assert (project / "tables" / "sample.csv").exists()


class Page(HTMLParser):
    """Collects what the tests ask of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.values, self.alts, self.addresses = [], set(), {}, [], []
        self._value = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids |= {given["id"]} if "id" in given else set()
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag == "img" and "src" in given:
            self.alts.append(given.get("alt"))
        if tag == "data":
            self._value = given["data-id"]

    def handle_data(self, data):
        if self._value:
            self.values.setdefault(self._value, []).append(data)
            self._value = None


@pytest.mark.parametrize("name", ["report.html", "report.vi.html"])
def test_a_page_is_self_contained_and_accessible(built, name):
    text = (built / name).read_text(encoding="utf-8")
    page = Page(text)
    outside = [a for a in page.addresses if not a.startswith(("data:", "#", "report"))]
    assert outside == []
    assert "http:" not in re.sub(r"data:[^\"')]*", "", text)
    assert "https:" not in re.sub(r"data:[^\"')]*", "", text)
    assert page.alts
    assert all(page.alts)
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= page.ids
    assert "Simulated data" in text or "Dữ liệu mô phỏng" in text
    assert text.count("@font-face") == 2
    assert re.search(r'<html lang="(en|vi)">', text)


def test_every_number_in_prose_is_a_value_equal_in_both_languages(built):
    results = json.loads((built / "results.json").read_text(encoding="utf-8"))
    english, vietnamese = (
        Page((built / name).read_text(encoding="utf-8")).values
        for name in ("report.html", "report.vi.html")
    )
    assert set(english) == set(vietnamese) == set(results["values"])
    swap = str.maketrans(",.", ".,")
    for name, written in english.items():
        digits = [re.sub(r"[^\d.,]", "", text) for text in written]
        assert digits == [re.sub(r"[^\d.,]", "", t).translate(swap) for t in vietnamese[name]]


def test_titles_are_escaped(built):
    text = (built / "report.html").read_text(encoding="utf-8")
    assert "Draws &amp; &lt;all&gt;" in text
    assert 'alt="A &#34;line&#34;"' in text


def test_a_linked_folder_of_notebooks_changes_nothing(tmp_path):
    made = []
    for name, linked in (("plain", False), ("linked", True)):
        project = tmp_path / name
        folder = make_project(project / "reports")
        notebooks = (tmp_path / "elsewhere" / "deep") if linked else project / "notebooks"
        notebooks.mkdir(parents=True)
        (folder / "small.ipynb").rename(notebooks / "small.ipynb")
        if linked:
            (project / "notebooks").symlink_to(notebooks, target_is_directory=True)
        plan = folder / "evaluation.toml"
        words = plan.read_text(encoding="utf-8")
        plan.write_text(words.replace('"small.ipynb"', '"../../notebooks/small.ipynb"'), "utf-8")
        build_report(Evaluation.read(folder), progress=False)
        made.append({p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert made[0] == made[1]
    assert b"../reports/small/evaluation.toml" in made[1]["notebook.ipynb"]

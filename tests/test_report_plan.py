"""Plans before and after: scaffolded, checked, frozen; deviations listed by themselves."""

import datetime
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from report_project import make_project, write_notebook

from impact import datasets
from impact.cli import main
from impact.errors import ReportError, SpecError
from impact.evaluation import Evaluation
from impact.report.build import build_report, check_plan
from impact.report.package import package_report
from impact.report.registration import deviations, freeze_plan
from impact.report.reprun import rerun_notebook
from impact.report.scaffold import new_evaluation

ROOT = Path(__file__).parent.parent
TODAY = datetime.date(2024, 1, 31)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "evaluation.ipynb", tmp_path / "notebooks")
    return tmp_path


@pytest.fixture
def plan(root):
    return new_evaluation("firms", root, TODAY)


def change(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_new_plan_can_run_as_it_is(plan):
    evaluation = Evaluation.read(plan)
    assert evaluation.id == "firms"
    assert evaluation.date == TODAY
    check_plan(evaluation)


def test_a_new_plan_never_replaces_one(plan, root):
    with pytest.raises(ReportError, match="is there already; nothing was written"):
        new_evaluation("firms", root, TODAY)


def test_a_new_plan_needs_a_project(tmp_path):
    with pytest.raises(ReportError, match="has no notebooks"):
        new_evaluation("firms", tmp_path, TODAY)


def test_a_check_finds_everything_at_once(plan):
    change(
        plan,
        'estimator = "CallawaySantAnna"',
        'estimator = "CallawaySantAnna"\nsettings = { comparson = "x" }',
    )
    change(plan, 'name = "employ"', 'name = "emloy"')
    plan.write_text(
        plan.read_text(encoding="utf-8") + "\n[parameters]\ncuont = 1\n", encoding="utf-8"
    )
    with pytest.raises(SpecError) as caught:
        check_plan(Evaluation.read(plan))
    message = str(caught.value)
    assert 'no parameter "cuont"' in message
    assert 'no setting "comparson". Did you mean "comparison"?' in message
    assert '"emloy" is no column of the data. Did you mean "employ"?' in message


def test_names_that_numbers_cannot_have_are_found_before_anything_runs(plan):
    change(plan, 'name = "employ"', 'name = "Số lao động"')
    with pytest.raises(SpecError, match=r'name = "so_lao_dong", data_column = "Số lao động"'):
        check_plan(Evaluation.read(plan))
    change(plan, 'name = "Số lao động"', 'name = "2 việc"')
    with pytest.raises(SpecError, match=r'name = "y_2_viec"'):
        check_plan(Evaluation.read(plan))


def test_an_outcome_may_have_another_name_than_its_column(plan):
    change(plan, 'name = "employ"', 'name = "viec_lam"\ndata_column = "employ"')
    evaluation = Evaluation.read(plan)
    check_plan(evaluation)
    frame = evaluation.load()
    assert (frame["viec_lam"].dropna() == frame["employ"].dropna()).all()
    assert frame["log_viec_lam"].notna().any()
    change(plan, 'data_column = "employ"', 'data_column = "emloy"')
    with pytest.raises(SpecError, match='"emloy" is no column of the data. Did you mean "employ"'):
        Evaluation.read(plan).load()
    change(
        plan, 'name = "viec_lam"\ndata_column = "emloy"', 'name = "sales"\ndata_column = "employ"'
    )
    with pytest.raises(SpecError, match='is read from "employ", but the data have another column'):
        Evaluation.read(plan).load()
    change(plan, 'dataset = "michigan_grants"', 'scan = "firms.parquet"')
    with pytest.raises(SpecError, match="Rename the columns there"):
        Evaluation.read(plan)


def test_a_plan_whose_notebook_simulates_its_data_has_none_to_check():
    check_plan(Evaluation.read(ROOT / "reports" / "hung-yen"))


def test_a_plan_may_say_which_value_means_never_treated(plan):
    data = plan.parent / "grants.csv"
    datasets.load("michigan_grants").fillna({"first_grant": 0}).to_csv(data, index=False)
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    change(
        plan,
        'dataset = "michigan_grants"',
        f'files = [{{ path = "grants.csv", sha256 = "{digest}" }}]',
    )
    with pytest.raises(SpecError, match="say so with never_treated="):
        check_plan(Evaluation.read(plan))
    change(plan, "[design]\n", "[design]\nnever_treated = 0\n")
    check_plan(Evaluation.read(plan))


def test_a_check_names_the_requirement_a_design_lacks(plan):
    change(plan, 'name = "employ"', 'name = "avgsal"')
    with pytest.raises(SpecError, match="avgsal, CallawaySantAnna: 1 unit is treated whenever obs"):
        check_plan(Evaluation.read(plan))


def test_a_check_finds_what_settings_refuse_and_says_it_once(tmp_path):
    folder = tmp_path / "reports" / "michigan-grants"
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "evaluation.ipynb", tmp_path / "notebooks")
    folder.mkdir(parents=True)
    file = folder / "evaluation.toml"
    shutil.copy(ROOT / "reports" / "michigan-grants" / "evaluation.toml", file)
    change(file, "settings = { accept_forbidden_comparisons = true }", "settings = {}")
    with pytest.raises(SpecError) as caught:
        check_plan(Evaluation.read(file))
    message = str(caught.value)
    assert "hrsemp, scrap, employ, avgsal, sales, TwoWayFixedEffects: TwoWay" in message
    assert message.count("accept_forbidden_comparisons=True") == 1
    change(file, 'cohort = "first_grant"', 'cohort = "first_grnt"')
    with pytest.raises(SpecError) as caught:
        check_plan(Evaluation.read(file))
    message = str(caught.value)
    assert message.count("first_grnt") == 1
    assert message.count(str(file)) == 1


def test_a_frozen_plan_lists_its_deviations(plan):
    assert deviations(Evaluation.read(plan)) is None
    freeze_plan(Evaluation.read(plan))
    assert deviations(Evaluation.read(plan)) == []
    change(plan, "smallest_effect = 0.05", "smallest_effect = 0.02")
    change(plan, "primary = true", "")
    assert deviations(Evaluation.read(plan)) == [
        {"key": "outcomes.1.primary", "registered": "true", "run": "false"},
        {"key": "outcomes.1.smallest_effect", "registered": "0.05", "run": "0.02"},
    ]
    with pytest.raises(SpecError, match=r"differs from it by now \(outcomes.1.primary, outcomes"):
        freeze_plan(Evaluation.read(plan))


def test_a_comment_is_no_deviation(plan):
    freeze_plan(Evaluation.read(plan))
    plan.write_text("# later\n" + plan.read_text(encoding="utf-8"), encoding="utf-8")
    assert deviations(Evaluation.read(plan)) == []


def test_an_edited_registration_is_refused(plan):
    file = freeze_plan(Evaluation.read(plan))
    stored = json.loads(file.read_text(encoding="utf-8"))
    stored["plan"]["inference"]["seed"] = 2
    file.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(SpecError, match="is damaged or was edited"):
        deviations(Evaluation.read(plan))


def test_deviations_are_printed_in_the_report(tmp_path):
    folder = make_project(tmp_path, parameters="count = 3")
    freeze_plan(Evaluation.read(folder))
    unchanged = build_report(Evaluation.read(folder), progress=False).read_text(encoding="utf-8")
    assert "The plan was changed" not in unchanged
    change(folder / "evaluation.toml", "count = 3", "count = 4")
    page = build_report(Evaluation.read(folder), progress=False).read_text(encoding="utf-8")
    front, after = page.split("</section>", 1)
    said = "The plan was changed after it was registered. The changes are listed under"
    assert f'{said} <a href="#deviations">Deviations from the plan</a>.' in front
    assert '<section id="deviations">' in after
    vietnamese = (folder / "report.vi.html").read_text(encoding="utf-8")
    assert "Kế hoạch đã được thay đổi sau khi đăng ký" in vietnamese.split("</section>", 1)[0]
    assert "<code>parameters.count</code></th><td><code>3</code></td><td><code>4</code>" in page


def test_commands_on_plans(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    assert main(["new", "firms"]) == 0
    plan = str(root / "reports" / "firms")
    assert main(["check", plan]) == 0
    assert main(["plan", "diff", plan]) == 0
    assert "no plan was frozen" in capsys.readouterr().out
    assert main(["plan", "freeze", plan]) == 0
    assert main(["plan", "diff", plan]) == 0
    assert "the plan is the registered one" in capsys.readouterr().out
    change(root / "reports" / "firms" / "evaluation.toml", "level = 0.95", "level = 0.9")
    assert main(["plan", "diff", plan]) == 0
    assert "inference.level: 0.95 -> 0.9" in capsys.readouterr().out
    assert main(["plan", "freeze", plan]) == 2
    assert main(["check", str(root / "nowhere"), plan]) == 2
    assert main(["new", "firms"]) == 1


def test_verify_needs_no_kernel_and_names_what_was_altered(tmp_path, capsys):
    folder = make_project(tmp_path)
    assert main(["verify", str(folder)]) == 2
    build_report(Evaluation.read(folder), progress=False)
    assert main(["verify", str(folder)]) == 0
    (folder / "results.json").write_text("{}")
    (folder / "notebook.ipynb").unlink()
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 3
    shown = capsys.readouterr().out
    assert "altered: results.json" in shown
    assert "not there: notebook.ipynb" in shown
    assert "4 of 6 files are as issued" in shown


def test_unstable_cells_are_named_with_their_cause(tmp_path, capsys):
    path = write_notebook(
        tmp_path / "n.ipynb",
        "import time, numpy as np\nnp.random.default_rng(1).normal()",
        "print(np.random.default_rng().normal())",
        "print(time.time())",
        "print(list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}))",
        parameters="a = 1",
    )
    unstable = rerun_notebook(path, progress=False)
    assert [cell.number for cell in unstable] == [3, 4, 5]
    causes = ["a draw without seed", "the clock", "the order of a set"]
    assert [cell.cause for cell in unstable] == causes
    assert main(["reprun", str(path), "--quiet"]) == 6
    assert "cell 3 differs" in capsys.readouterr().out


def test_a_replication_package_holds_what_a_report_was_made_from(tmp_path, monkeypatch):
    root = tmp_path / "project"
    folder = make_project(root / "reports")
    for name in ("requirements.lock", "LICENSE"):
        shutil.copy(ROOT / name, root)
    (root / "impact").mkdir()
    (root / "impact" / "code.py").write_text("1\n")
    monkeypatch.setattr("impact.report.package.PACKAGE", root / "impact")
    plan = Evaluation.read(folder)
    with pytest.raises(ReportError, match="is not a complete report"):
        package_report(plan)
    build_report(plan, progress=False)
    file = package_report(plan)
    first = file.read_bytes()
    assert package_report(plan).read_bytes() == first
    with zipfile.ZipFile(file) as archive:
        names = {name.removeprefix("small/") for name in archive.namelist()}
        readme = archive.read("small/REPLICATION.md").decode("utf-8")
    assert {"impact/code.py", "requirements.lock", "LICENSE"} <= names
    assert {"reports/small/evaluation.toml", "reports/small/small.ipynb"} <= names
    assert "reports/small/results.json" in names
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["outputs"]["results.json"] in readme
    assert main(["package", str(folder)]) == 0


def test_a_replication_package_needs_the_project(tmp_path):
    folder = make_project(tmp_path)
    build_report(Evaluation.read(folder), progress=False)
    with pytest.raises(ReportError, match="needs the project around"):
        package_report(Evaluation.read(folder))

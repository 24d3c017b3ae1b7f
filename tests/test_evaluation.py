"""The plan: everything wrong with it is said at once."""

import pandas as pd
import pytest

from impact.errors import SpecError
from impact.evaluation import Evaluation, file_sha256

GOOD = """
[evaluation]
id = "small"
title = { en = "Small", vi = "Nhỏ" }
notebook = "small.ipynb"
data_kind = "simulated"
date = 2024-01-31

[question]
text = { en = "What?", vi = "Gì?" }
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "small.ipynb").write_text("{}")
    return folder


def read(folder, plan):
    (folder / "evaluation.toml").write_text(plan, encoding="utf-8")
    return Evaluation.read(folder)


def refusal(folder, plan):
    with pytest.raises(SpecError) as caught:
        read(folder, plan)
    return str(caught.value)


def test_a_small_plan_is_read_with_its_defaults(folder):
    plan = read(folder, GOOD)
    assert plan.id == "small"
    assert plan.title["vi"] == "Nhỏ"
    assert plan.design == {
        "anticipation": 0,
        "always_treated": "refuse",
        "covariates": [],
        "assignment": "observational",
    }
    assert plan.inference == {"level": 0.95, "draws": 999, "seed": 1}
    assert plan.notebook == folder / "small.ipynb"


def test_hash_is_that_of_the_meaning(folder):
    first = read(folder, GOOD)
    again = read(folder, "# a comment\n" + GOOD.replace('id = "small"', 'id    = "small"'))
    other = read(folder, GOOD + "\n[inference]\nseed = 2\n")
    defaults = read(folder, GOOD + "\n[inference]\nseed = 1\n")
    assert first.sha256 == again.sha256 == defaults.sha256
    assert first.sha256 != other.sha256


def test_all_findings_come_at_once(folder):
    plan = GOOD.replace("data_kind", "data_kin").replace('en = "What?", ', "")
    message = refusal(
        folder, plan + "\n[inference]\nlevel = 95\nseed = true\n[desing]\nunit = 'u'\n"
    )
    assert "5 problems" in message or "6 problems" in message
    assert 'no key "data_kin". Did you mean "data_kind"?' in message
    assert "evaluation.data_kind is missing" in message
    assert "question.text must have a text for each of en, vi; it has vi." in message
    assert "inference.level must be from 0.5 to 0.999; it is 95." in message
    assert "inference.seed must be an integer; it is True." in message
    assert 'the plan has no key "desing". Did you mean "design"?' in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"simulated"', '"simulatd"', 'Did you mean "simulated"?'),
        ("2024-01-31", '"soon"', "evaluation.date must be a date"),
        ('id = "small"', 'id = "large"', 'lies in the folder "small"'),
        ('id = "small"', 'id = "Small One"', "small letters, digits and single hyphens"),
        ("small.ipynb", "smal.ipynb", 'is not there.*Did you mean "small.ipynb"?'),
    ],
)
def test_a_wrong_entry_is_named_with_its_remedy(folder, old, new, words):
    (folder / "evaluation.toml").write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(SpecError, match=words.replace("?", r"\?") if "Did" in words else words):
        Evaluation.read(folder)


def test_names_of_data_sets_and_estimators_are_checked(folder):
    message = refusal(
        folder,
        GOOD
        + '\n[data]\ndataset = "michigan_grant"\n[estimation]\nestimator = "CallawaySantAna"\n',
    )
    assert 'Did you mean "michigan_grants"?' in message
    assert 'Did you mean "CallawaySantAnna"?' in message


def test_changed_or_missing_data_are_refused(folder):
    data = folder / "d.csv"
    data.write_text("unit,time\n1,2\n")
    entry = '\n[[data.files]]\npath = "d.csv"\nsha256 = "{}"\n'
    assert read(folder, GOOD + entry.format(file_sha256(data))).files == {"d.csv": data}
    assert "are not those the plan was written for" in refusal(
        folder, GOOD + entry.format("0" * 64)
    )
    data.unlink()
    assert "data.files.1 names d.csv, which is not there" in refusal(
        folder, GOOD + entry.format("")
    )


def test_a_missing_plan_names_its_neighbours(folder):
    read(folder, GOOD)
    with pytest.raises(SpecError, match='there is no plan .*Did you mean "small"'):
        Evaluation.read(folder.parent / "smal" / "evaluation.toml")


def test_a_broken_file_is_no_toml(folder):
    assert "is no TOML" in refusal(folder, GOOD + "\nseed = = 1")
    assert 'stands in quotes, as classes."Nhỏ"' in refusal(folder, GOOD + "\nclasses.Nhỏ = 1")


def test_an_outcome_named_twice_is_refused(folder):
    outcome = '\n[[outcomes]]\nname = "y"\nlabel = { en = "y", vi = "y" }\nunit = "jobs"\n'
    assert "outcomes names y more than once" in refusal(folder, GOOD + 2 * outcome)


def with_outcome(folder, name, transform, values):
    data = folder / "d.csv"
    pd.DataFrame({"y": values}).to_csv(data, index=False)
    return read(
        folder,
        GOOD
        + f'\n[[data.files]]\npath = "d.csv"\nsha256 = "{file_sha256(data)}"\n[[outcomes]]\n'
        + f'name = "{name}"\nlabel = {{ en = "y", vi = "y" }}\nunit = "jobs"\n'
        + f'transform = "{transform}"\n',
    )


def test_data_are_loaded_with_transformed_outcomes(folder):
    plan = with_outcome(folder, "y", "log", [1.0, 1.0])
    assert plan.load()[plan.outcomes[0].column].tolist() == [0.0, 0.0]


def test_a_logarithm_of_zero_is_refused(folder):
    with pytest.raises(SpecError, match='"y" has 1 values that are zero or less'):
        with_outcome(folder, "y", "log", [0.0, 1.0]).load()


def test_an_outcome_that_is_no_column_is_refused(folder):
    with pytest.raises(SpecError, match='"z" is no column of the data'):
        with_outcome(folder, "z", "none", [0.0, 1.0]).load()


def test_an_evaluation_needs_one_table(folder):
    with pytest.raises(SpecError, match="names 0 files and no dataset"):
        read(folder, GOOD).load()


def test_files_shown_beside_are_hashed_and_not_estimated_from(folder):
    plan = with_outcome(folder, "y", "none", [1.0, 2.0])
    (folder / "printed.csv").write_text("place,jobs\nHuế,5\n", encoding="utf-8")
    text = plan.path.read_text(encoding="utf-8")
    sha256 = file_sha256(folder / "printed.csv")
    beside = f'\n[[data.files]]\npath = "printed.csv"\nsha256 = "{sha256}"\nbeside = true\n'
    both = read(folder, text + beside)
    assert set(both.files) == {"d.csv", "printed.csv"}
    assert set(both.data_files) == {"d.csv"}
    assert both.load()["y"].tolist() == [1.0, 2.0]
    assert "are not those the plan was written for" in refusal(
        folder, text + beside.replace(sha256, "0" * 64)
    )

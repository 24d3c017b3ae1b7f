"""Families, subgroups and cost that a plan asks for: numbers of the package, told and named."""

import numpy as np
import pytest
from report_project import write_data_project

from impact import CallawaySantAnna, EffectsByGroup, simulate
from impact.errors import SpecError
from impact.evaluation import LANGUAGES, Evaluation, file_sha256
from impact.families import family
from impact.report import Record, chapters, effect_tables, estimate_outcomes, narrative
from impact.report.build import check_plan
from impact.report.cost import check_cost, cost_sentence, plan_cost
from impact.report.subgroups import check_subgroups
from impact.report.values import render_template
from impact.value import cost_per_unit

PLAN = """
[evaluation]
id = "small"
title = {en = "Small", vi = "Nhỏ"}
notebook = "evaluation.ipynb"
data_kind = "simulated"
date = 2024-01-31

[question]
text = {en = "What?", vi = "Gì?"}

[[data.files]]
path = "small.csv"
sha256 = "SHA"

[design]
unit = "unit"
time = "time"
cohort = "cohort"

[[outcomes]]
name = "outcome"
label = {en = "jobs", vi = "việc làm"}
unit = "jobs"
primary = true

[[outcomes]]
name = "other"
label = {en = "wages", vi = "tiền lương"}
unit = "jobs"

[estimation]
estimator = "CallawaySantAnna"

[inference]
draws = 199
"""
FAMILY = """
[[families]]
label = {en = "Jobs and wages", vi = "Việc làm và tiền lương"}
outcomes = ["outcome", "other"]
method = "holm"
"""
SUBGROUPS = """
[[subgroups]]
by = "sector"
label = {en = "sector", vi = "ngành"}
"""
CLASSES = """
classes.stone = {en = "stone carving", vi = "chạm khắc đá"}
classes.wood = {en = "woodwork", vi = "đồ gỗ"}
"""
COST = """
[cost]
outcome = "outcome"
spent = 1_000_000_000
displacement = 0.15
price_base = 2015
"""


@pytest.fixture
def make(tmp_path):
    def made(*parts, effect=2.0, edit=lambda plan: plan):
        world = simulate.staggered_panel(1, n_units=200, periods=8, effect=effect, noise=0.5)
        frame = world.frame
        rng = np.random.default_rng(1)
        frame["other"] = frame["outcome"] + rng.normal(size=len(frame))
        frame["sector"] = np.where(frame["unit"] % 2, "stone", "wood")
        words = edit(PLAN + "".join(parts))
        return write_data_project(tmp_path / "small", words, frame, "small.csv")

    return made


def told(plan):
    effects = estimate_outcomes(plan, plan.load())
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    sentence = cost_sentence(record, plan, effects)
    chapters.add_planned(record, plan, effects)
    return record, effects, sentence, record.as_dict()


def words_of(record, sentence):
    if sentence is None:
        return None
    return [render_template(sentence[c], record.values, c).replace("\xa0", " ")
            for c in ("en", "vi")]  # fmt: skip


def test_a_plan_without_them_has_no_such_chapters(make):
    _, _, sentence, content = told(make())
    assert sentence is None
    assert content["sections"] == []


@pytest.mark.parametrize("method", ["holm", "romano_wolf"])
def test_families_are_adjusted_as_the_package_does(make, method):
    plan = make(FAMILY.replace("holm", method))
    record, effects, _, content = told(plan)
    results = {name: effect.result for name, effect in effects.items()}
    expected = family(results, method, draws=199, seed=1).set_index("name")
    for name in results:
        stored = record.values[f"{name}.family_1"].value
        assert stored == pytest.approx(expected.loc[name, "adjusted"], rel=1e-8)
    assert content["sections"][0]["id"] == "families"
    assert record.tables["family_1"]["title"]["vi"] == "Việc làm và tiền lương"


def test_subgroups_are_those_of_the_estimator_and_the_test_is_adjusted(make):
    plan = make(SUBGROUPS, SUBGROUPS)
    record, effects, _, _ = told(plan)
    fitted = EffectsByGroup(estimator=CallawaySantAnna(), by="sector").fit(
        effects["outcome"].design
    )
    for row, line in enumerate(fitted.tidy().to_dict("records")):
        value = record.values[f"outcome.group_1_{row}"]
        assert value.value == pytest.approx(line["estimate"], rel=1e-8)
        assert value.low == pytest.approx(line["conf_low"], rel=1e-8)
    equal = fitted.extra["equality"].p_value
    assert record.values["outcome.group_1_equal"].value == pytest.approx(equal, rel=1e-8)
    holm = record.values["outcome.group_1_holm"].value
    assert holm == pytest.approx(min(2 * equal, 1.0), rel=1e-8)
    assert "other.group_1_0" not in record.values


def test_a_class_of_few_treated_units_is_hidden(make):
    plan = make(SUBGROUPS)
    frame = plan.load()
    treated = frame.loc[frame["cohort"].notna(), "unit"].unique()[:2]
    frame["sector"] = frame["sector"].where(~frame["unit"].isin(treated), "lacquer")
    effects = estimate_outcomes(plan, frame)
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    chapters.add_planned(record, plan, effects)
    content = record.as_dict()
    assert record.values["outcome.group_1_1"].value is None
    assert record.values["outcome.group_1_2"].value is not None
    assert content["warnings"]
    # The table marks names of classes as taken from the data; labels of numbers are plain.
    assert not any(
        "[[" in value.label[code] for value in record.values.values() for code in LANGUAGES
    )


def test_classes_are_called_what_the_plan_calls_them(make):
    record, _, _, content = told(make(SUBGROUPS + CLASSES))
    table = content["tables"]["subgroups"]
    assert [c["label"]["vi"] for c in table["columns"]][:2] == ["Kết quả", "Ngành"]
    cells = [row[1] for row in table["rows"]]
    assert [cell["vi"] for cell in cells] == ["tất cả", "[[chạm khắc đá]]", "[[đồ gỗ]]"]
    assert [cell["en"] for cell in cells] == ["all", "[[stone carving]]", "[[woodwork]]"]
    assert record.values["outcome.group_1_1"].label["vi"].endswith("nhóm chạm khắc đá")


def test_several_characteristics_are_told_apart_by_a_column(make):
    _, _, _, content = told(make(SUBGROUPS + CLASSES, SUBGROUPS))
    table = content["tables"]["subgroups"]
    assert [c["label"]["en"] for c in table["columns"]][:3] == ["Outcome", "By", "Class"]


def test_whole_numbers_name_classes_without_decimals(make):
    plan = make(SUBGROUPS + CLASSES.replace("stone =", "1 =").replace("wood =", "0 ="))
    frame = plan.load()
    frame["sector"] = frame["sector"].map({"stone": 1.0, "wood": 0.0})
    frame.loc[frame["unit"] == 1, "sector"] = np.nan
    frame.to_csv(plan.folder / "small.csv", index=False)
    assert check_subgroups(plan) == []
    effects = estimate_outcomes(plan, frame)
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    chapters.add_planned(record, plan, effects)
    cells = [row[1]["en"] for row in record.tables["subgroups"]["rows"]]
    assert cells == ["all", "[[woodwork]]", "[[stone carving]]"]


def test_labels_of_classes_that_only_other_rows_have_are_no_fault(make):
    plan = make(SUBGROUPS + CLASSES, "\n[data.where]\nsector = 'stone'\n")
    assert check_subgroups(plan) == []


def test_a_subgroup_that_cannot_be_estimated_is_named(make):
    plan = make(SUBGROUPS)
    frame = plan.load()
    frame["sector"] = "stone"
    effects = estimate_outcomes(plan, frame)
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    chapters.add_planned(record, plan, effects)
    said = record.sections[0]["blocks"][1]["text"]
    assert "**Jobs** by sector cannot be estimated" in said["en"]
    assert "lý do bằng tiếng Anh" in said["vi"]


def test_the_cost_of_a_net_job_is_the_packages(make):
    record, effects, sentence, content = told(make(COST))
    effect = effects["outcome"]
    found = cost_per_unit(effect.result, cost=1e9, displacement=0.15,
                          scale=effect.design.facts.n_treated_units)  # fmt: skip
    value = record.values["cost.net"]
    limits = (found.confidence_set.low, found.confidence_set.high)
    stored = [value.value, value.low, value.high]
    assert stored == [float(f"{amount:.3g}") for amount in (found.estimate, *limits)]
    english, vietnamese = words_of(record, sentence)
    assert english.startswith("Counting net jobs only, the programme cost VND ")
    assert vietnamese.startswith("Chỉ tính việc làm ròng, chi phí là ")
    assert "theo giá năm {cost.prices}" in content["sections"][0]["blocks"][0]["text"]["vi"]


@pytest.mark.parametrize(
    ("shift", "said"),
    [(-0.02, "without an upper limit"), (-0.2, "finds no gain"), (-3.0, "effect is a fall")],
)
def test_an_effect_that_may_be_none_has_no_upper_limit(make, shift, said):
    plan = make(COST, effect=0.0)
    frame = plan.load()
    first = estimate_outcomes(plan, frame)["outcome"].result.att().estimates[0]
    after = frame["time"] >= frame["cohort"]
    wanted = {-0.02: 0.01, -0.2: -0.01, -3.0: -3.0}[shift]
    frame["outcome"] = frame["outcome"] + (wanted - first) * after
    effects = estimate_outcomes(plan, frame)
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    sentence = cost_sentence(record, plan, effects)
    chapters.add_planned(record, plan, effects)
    record.as_dict()
    assert said in words_of(record, sentence)[0]
    assert record.values["cost.net"].high is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_without_valid_inference_the_cost_and_families_are_told_with_that(make, sign):
    plan = make(COST, FAMILY)
    frame = plan.load()
    treated = frame.loc[frame["cohort"].notna(), "unit"].unique()
    frame.loc[frame["unit"].isin(treated[1:]), "cohort"] = np.nan
    frame = frame[frame["unit"].isin([treated[0], *treated[1:3]])]
    after = frame["time"] >= frame["cohort"]
    frame["outcome"] = 0.01 * frame["outcome"] + sign * after
    effects = estimate_outcomes(plan, frame)
    record = Record.of(plan)
    record.smallest_cell = 1
    effect_tables.record_effects(record, effects)
    sentence = cost_sentence(record, plan, effects)
    chapters.add_planned(record, plan, effects)
    content = record.as_dict()
    english, vietnamese = words_of(record, sentence)
    assert "interval of the effect holds" in english
    assert "không có khoảng tin cậy nào" in vietnamese
    assert "{cost.net" not in sentence["en"] + sentence["vi"]
    assert ("stands, with that caveat, in the chapter on cost" in english) == (sign > 0)
    assert ("nằm ở chương về chi phí" in vietnamese) == (sign > 0)
    assert record.values["cost.net"].high is None
    assert "cost.least" not in record.values
    families, cost = content["sections"]
    assert "without a bounded interval" in cost["blocks"][0]["text"]["en"]
    told_later = [block["text"]["en"] for block in cost["blocks"][1:]]
    assert [("{cost.net}" in said, "no finding to quote" in said) for said in told_later] == (
        [(True, True)] if sign > 0 else []
    )
    assert "p-values cannot be adjusted: [[no valid p-value" in families["blocks"][1]["text"]["en"]


def test_without_valid_inference_nothing_is_said_to_hold(make):
    from impact.report import population_of
    from impact.report.credibility import evidence_of, grade

    def clustered(words):
        return words.replace('cohort = "cohort"', 'cohort = "cohort"\nclusters = "place"')

    plan = make(edit=clustered)
    frame = plan.load()
    treated = frame.loc[frame["cohort"].notna(), "unit"].unique()
    frame.loc[frame["unit"].isin(treated[9:]), "cohort"] = np.nan
    place = {unit: f"p{k % 3}" for k, unit in enumerate(treated[:9])}
    frame["place"] = frame["unit"].map(lambda unit: place.get(unit, f"p{unit % 30}"))
    effects = estimate_outcomes(plan, frame)
    effect = effects["outcome"]
    assert np.isnan(effect.pre_trends.p_value)
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)

    found = narrative.effect_sentence(effect)
    assert "no interval is valid" in found["en"]
    assert "không có khoảng tin cậy nào đáng tin" in found["vi"]
    assert ":interval" not in found["en"] + found["vi"]
    before = " ".join(sentence["en"] for sentence in narrative.event_study_sentences(effects))
    assert "the data cannot tell" in before
    assert "No difference" not in before
    caption = narrative.event_study_caption(effects)
    assert "no inference is valid" in caption["en"]
    assert "one period at a time" not in caption["en"]
    graded = grade(evidence_of(plan, effect, population_of(plan, frame)))
    outcomes = {reason.rule: reason.outcome for reason in graded.reasons}
    assert outcomes["before"] == "unknown"
    assert outcomes["inference"] == "fails"
    assert "clusters" not in outcomes

    effect_tables.event_study_table(record, effects)
    study = effect.event_study()
    shown = [name for name in record.values if name.startswith("outcome.event_")]
    assert len(shown) == len(study) - 1


def test_a_plan_that_will_get_no_inference_is_told_before_and_on_the_first_page(make, capsys):
    from impact.cli import main
    from impact.report import population_of

    column = 'cohort = "cohort"'
    clustered = f'{column}\nclusters = "place"'
    plan = make(edit=lambda words: words.replace(column, clustered))
    frame = plan.load()
    treated = frame.loc[frame["cohort"].notna(), "unit"].unique()
    frame.loc[frame["unit"].isin(treated[9:]), "cohort"] = np.nan
    place = {unit: f"p{k % 3}" for k, unit in enumerate(treated[:9])}
    frame["place"] = frame["unit"].map(lambda unit: place.get(unit, f"p{unit % 30}"))
    sha = file_sha256(plan.folder / "small.csv")
    frame.to_csv(plan.folder / "small.csv", index=False)
    words = plan.path.read_text(encoding="utf-8")
    plan.path.write_text(
        words.replace(sha, file_sha256(plan.folder / "small.csv")), encoding="utf-8"
    )
    plan = Evaluation.read(plan.folder)
    assert main(["check", str(plan.folder)]) == 0
    warned = capsys.readouterr().err
    assert "outcome: no p-value or interval will be given (30 clusters, 3 treated" in warned
    assert "aggregate to one row a cluster and period" in warned
    assert "cluster by unit." in warned

    effects = estimate_outcomes(plan, frame)
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    chapters.summarise(record, plan, effects, population_of(plan, frame))
    assert "bên trong một số ít cụm [[place]]" in record.front["caveats"][-1]["vi"]


def test_a_plan_with_inference_is_told_no_remedy(make, capsys):
    from impact.cli import main
    from impact.report.remedies import remedy_sentence

    plan = make()
    assert main(["check", str(plan.folder)]) == 0
    assert "warning" not in capsys.readouterr().err
    assert remedy_sentence(estimate_outcomes(plan, plan.load())) is None


def test_the_first_page_shows_the_cost(make):
    from impact.report import population_of

    plan = make(COST)
    effects = estimate_outcomes(plan, plan.load())
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    chapters.summarise(record, plan, effects, population_of(plan, plan.load()))
    assert "cost.net" in record.front["cost"]["en"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (FAMILY.replace('"other"', '"othr"'), r"families\.1 names othr.*Did you mean .other"),
        (FAMILY.replace(', "other"', ""), r"families\.1 needs two outcomes"),
        (SUBGROUPS.replace('by = "sector"', 'by = "sectr"'), r'"sectr".*Did you mean .sector'),
        (
            SUBGROUPS + CLASSES.replace("wood =", "wod ="),
            r"subgroups\.1\.classes labels wod, which no unit has.*are: stone, wood",
        ),
        (
            SUBGROUPS + CLASSES.split("classes.wood", maxsplit=1)[0],
            r"subgroups\.1\.classes has no label for wood; label every class",
        ),
        (
            SUBGROUPS + 'classes.wood = {en = "woodwork"}',
            r"subgroups\.1\.classes\.wood must have a text for each of en, vi; it has en",
        ),
        (SUBGROUPS + 'classes = "wood"', r"classes must be a table of texts by class"),
        (COST.replace('"outcome"', '"outcom"'), r'"outcom".*Did you mean .outcome'),
        (COST.replace("spent = 1_000_000_000", ""), r"cost\.spent is missing.*no ledger"),
    ],
)
def test_what_cannot_be_computed_is_found_before_anything_runs(make, part, said):
    with pytest.raises(SpecError, match=said):
        check_plan(make(part))


def test_a_cost_of_an_effect_on_a_logarithm_needs_its_base(make):
    def in_logs(words):
        return words.replace('unit = "jobs"\nprimary', 'unit = "jobs"\ntransform = "log"\nprimary')

    plan = make(COST, edit=in_logs)
    assert any("cost.scale is missing" in said for said in check_cost(plan))
    with pytest.raises(SpecError, match=r"cost\.scale is missing"):
        plan_cost(plan, {})


def test_only_the_analyses_of_the_plan_are_told(make):
    from impact.report.robustness import robustness_sentences, robustness_table

    plan = make('\n[robustness]\nanalyses = ["placebo_in_time"]\n')
    assert plan.analyses == ("placebo_in_time",)
    effects = estimate_outcomes(plan, plan.load())
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    (sentence,) = robustness_sentences(record, effects, plan.analyses)
    robustness_table(record, effects)
    columns = [column["name"] for column in record.tables["robustness"]["columns"]]
    assert columns == ["outcome", "placebo"]
    assert "pretended to begin earlier" in sentence["en"]

"""Read cases that no adapter knows: their formulas, methods and covariances, as far as written.

A case's ``task`` is prose. What can be read from it is a formula, ``outcome ~ terms | effects |
endogenous ~ instruments`` with plain columns for terms, the method's and covariance's usual names
in the name of a variant or before its formula, and the clusters. Everything else is left
unanswered, and said to be.
"""

import json
import os
import re
from pathlib import Path

from impact import (
    Between,
    Design,
    FirstDifference,
    FixedEffects,
    Panel,
    PanelIV,
    PoissonFixedEffects,
    PooledOLS,
    RandomEffects,
)
from impact.errors import ImpactError
from impact.estimators.specification_tests import (
    breusch_pagan_test,
    hausman_test,
    honda_test,
    poolability_test,
)

FAMILIES = (
    "static_panel",
    "cluster_se",
    "conley_se",
    "panel_iv",
    "ppml",
    "dynamic_gmm",
    "did_2x2",
)
FORMULA = re.compile(r"[A-Za-z_.][\w.]* *~[^,;()]*")
TERM = re.compile(r"[A-Za-z_.][\w.]*(\^[A-Za-z_.][\w.]*)?")
COVARIANCE = re.compile(
    r"coef|ols|(HC|CR)\d(_[a-z]+)*|(cluster|twoway(_[a-z]+)?)_[a-z]+_HC[01]_n?o?cadjust"
)
COMPONENTS = {
    "swar": "swamy_arora",
    "amemiya": "amemiya",
    "walhus": "wallace_hussain",
    "nerlove": "nerlove",
}
METHODS = (
    # What a name or the words before a formula say, and what they ask for; first match.
    (r"between", lambda **how: Between(**how)),
    (r"\bfd\b|\bfirst.diff", lambda **how: FirstDifference(**how)),
    (r"(two.?way.*|\b)(re|random)\b", None),
    (r"two.?way.*(within|\bfe\b|fixed)", lambda **how: FixedEffects(**how)),
    (r"within|\bfe\b|fixed.effects", lambda **how: FixedEffects(effects="unit", **how)),
    (r"pooled|\bols\b|\bcoef\b|\bhc\d|\bcr\d|^cluster|^twoway", lambda **how: PooledOLS(**how)),
)


def cases_in_folder(families=FAMILIES):
    """Return the names of the folder's cases of these families; none without IMPACT_CASES."""
    folder = Path(os.environ.get("IMPACT_CASES") or "nowhere") / "cases"
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/case.json")]
    return sorted(case["name"] for case in found if case["family"] in families)


def read_answers(case, frame):
    """Answer what can be read of a case; a nested dictionary like its reference numbers."""
    answers = {}
    for name, expected in case["reference"].items():
        try:
            answer = _tests(case, frame, name) or _variant(case, frame, name, expected)
        except (ImpactError, KeyError):
            continue
        if answer is not None:
            answers[name] = answer
    return answers


def _words(name):
    return name.lower().replace("_", " ")


def _text(case, name):
    """Return the part of the task that speaks of a variant."""
    task = case["task"]
    models = task.get("models")
    own = models.get(name) if isinstance(models, dict) else None
    texts = [task.get(name), own, task.get("model")]
    return next((text for text in texts if isinstance(text, str)), "")


def _formula(text, frame):
    """Return outcome, regressors, effects, endogenous and instruments of a formula of columns."""
    found = FORMULA.search(text)
    if found is None:
        return None
    parts = [part.strip() for part in found[0].split("|")]
    outcome, _, right = parts[0].partition("~")
    terms = [part.strip() for part in right.split("+")]
    effects = [part.strip() for part in parts[1].split("+")] if len(parts) > 1 else []
    endogenous, _, instruments = parts[2].partition("~") if len(parts) > 2 else ("", "", "")
    instruments = [part.strip() for part in instruments.split("+") if part.strip()]
    regressors = [term for term in terms if term not in ("1", "0")]
    named = [outcome.strip(), *regressors, *instruments, *endogenous.split()]
    if not all(name in frame for name in named):
        return None
    if not all(TERM.fullmatch(effect) for effect in effects):
        return None
    return outcome.strip(), regressors, effects, endogenous.strip(), instruments


def _covariance(case, name, text):
    """Return the covariance that a name, or the task's words, ask for."""
    asked = re.search(r"\b(hc[0-3]|cr[0-3])\b", _words(name))
    if asked:
        by_cluster = re.match("cluster|twoway", name)
        return asked[0].upper().replace("HC", "CR") if by_cluster else asked[0].upper()
    if "cluster" in text or "cluster" in case["task"]:
        return "CR1"
    return "HC1" if "HC1" in text or "hetero" in name else "classical"


def _clusters(case, frame, name, text):
    """Return the columns that errors are clustered by; the units where none is named."""
    asked = re.search(r"cluster (\w+)", text)
    keys = [key for key in (case["columns"].get("unit"), case["columns"].get("time")) if key]
    by_name = tuple(key for key in keys if key in name.split("_"))
    if by_name:
        return by_name
    named = (asked[1] if asked else None, case["task"].get("cluster"))
    return next((column for column in named if column in frame), None)


def _convention(case, name):
    """Return whose small-sample factor the name or the case's first software means."""
    if name.endswith("_cadjust"):
        return "sandwich"
    first = str(case["source"].get("software", "")).lstrip("['")
    return "clubsandwich" if first.startswith("clubSandwich") else "fixest"


def _panel(case, frame):
    columns = case["columns"]
    if columns.get("unit") in frame and columns.get("time") in frame:
        return Panel(frame, unit=columns["unit"], time=columns["time"])
    rows = frame.assign(row_=range(len(frame)), once_=0)
    return Panel(rows, unit="row_", time="once_")


def _variant(case, frame, name, expected):
    """Fit what a variant asks for and lay its numbers out in the forms that cases use."""
    text = _text(case, name)
    formula = _formula(text, frame)
    if formula is None or not isinstance(expected, dict):
        return None
    if case["family"] == "cluster_se" and not COVARIANCE.fullmatch(name):
        return None
    outcome, regressors, effects, endogenous, instruments = formula
    clusters = _clusters(case, frame, name, text)
    weighted = "weight" in name
    design = Design(
        _panel(case, frame),
        outcome=outcome,
        covariates=[*regressors, *endogenous.split()],
        clusters=clusters,
        weights=case["columns"].get("weights") if weighted else None,
    )
    how = {
        "covariance": _covariance(case, name, text),
        "convention": _convention(case, name),
    }
    if endogenous:
        estimator = PanelIV(endogenous=endogenous, instruments=instruments, effects=effects, **how)
    elif case["family"] == "ppml":
        estimator = PoissonFixedEffects(effects=effects, **how)
    elif effects:
        estimator = FixedEffects(effects=effects, **how)
    else:
        estimator = _method(case, frame, f"{_words(name)} {text.split('~')[0].lower()}", how)
    return None if estimator is None else _numbers(estimator.fit(design), name, expected)


def _method(case, frame, words, how):
    for pattern, make in METHODS:
        if not re.search(pattern, words):
            continue
        if make is not None:
            return make(**how)
        method = next((m for word, m in COMPONENTS.items() if word in words), "swamy_arora")
        effects = "two_way" if re.search("two.?way", words) else "unit"
        return RandomEffects(effects=effects, method=method, **how)
    return None


def _numbers(result, name, expected):
    table = result.tidy()
    terms = table["term"].replace({"constant": "(Intercept)"})
    endogenous = result.settings.get("endogenous") or ()
    terms = terms.map(lambda t: f"fit_{t}" if f"fit_{t}" in str(expected) and endogenous else t)
    by_kind = {
        "estimate": dict(zip(terms, table["estimate"], strict=True)),
        "se": dict(zip(terms, result.std_errors, strict=True)),
        "df": dict(zip(terms, table["df"], strict=True)),
        "p": dict(zip(terms, table["p_value"], strict=True)),
    }
    pairs = {t: {k: by_kind[k][t] for k in ("estimate", "se")} for t in terms}
    if set(expected) & {"estimate", "se"}:
        return by_kind
    if "coef" in expected:
        return {"coef": pairs}
    if all(isinstance(value, dict) for value in expected.values()):
        return pairs
    return by_kind["estimate" if name == "coef" else "se"]


def _tests(case, frame, name):
    """Answer specification tests of static panels."""
    if case["family"] != "static_panel":
        return None
    make = {
        "hausman": lambda design: _tree(hausman_test(design, robust=False)),
        "poolability_F": lambda design: _f_form(poolability_test(design)),
        "breusch_pagan_lm_individual": lambda design: _tree(breusch_pagan_test(design)),
        "breusch_pagan_lm_twoways": lambda design: _tree(breusch_pagan_test(design, "two_way")),
        "honda": lambda design: {"z": honda_test(design).statistic},
    }.get(name)
    formula = _formula(_text(case, name), frame)
    if make is None or formula is None:
        return None
    return make(Design(_panel(case, frame), outcome=formula[0], covariates=formula[1]))


def _tree(test):
    return {"chi2": test.statistic, "df": test.restrictions, "pvalue": test.p_value}


def _f_form(test):
    return {
        "F": test.statistic,
        "df1": test.restrictions,
        "df2": test.df,
        "pvalue": test.p_value,
    }

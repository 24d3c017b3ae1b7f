"""The public names: importable, documented, and cheap to import."""

import ast
import importlib.metadata
import inspect
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import impact
from impact.errors import DesignError
from impact.estimators import ESTIMATORS, estimator_class

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    ".".join(("impact", *path.relative_to(ROOT / "impact").with_suffix("").parts))
    for path in (ROOT / "impact").rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)
HEAVY = ("matplotlib", "statsmodels", "linearmodels", "papermill", "nbconvert", "jinja2")


@pytest.mark.parametrize("name", ["impact", "impact.report", "impact.estimators"])
def test_all_names_can_be_imported(name):
    module = importlib.import_module(name)
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ names {missing}, which cannot be imported"


@pytest.mark.parametrize("name", MODULES)
def test_modules_export_only_public_names_they_have(name):
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", ())
    assert not [public for public in exported if not hasattr(module, public)]
    assert not [public for public in exported if public.startswith("_")]


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_estimators_are_documented_and_in_the_readme(name):
    text = estimator_class(name).__doc__ or ""
    assert "Source" in text, f"{name} names no source in its docstring"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\|.*`{name}`.*\|$", readme, re.MULTILINE)
    assert row, f'add a row for {name} to "Which estimator?" in README.md'


def test_importing_is_light():
    code = (
        "import time; start = time.perf_counter(); import impact; "
        "seconds = time.perf_counter() - start; import sys; "
        f"print(seconds, *[m for m in {HEAVY!r} if m in sys.modules])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, *heavy = min((run.stdout.split() for run in runs), key=lambda words: float(words[0]))
    assert not heavy, f"import impact loads {heavy}"
    assert float(seconds) < 0.5


def test_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute"):
        _ = impact.Pannel


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(AttributeError, match='Did you mean "CallawaySantAnna"'):
        _ = impact.CallawaySantana


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_an_unknown_setting_is_refused_with_those_there_are(name):
    with pytest.raises(DesignError, match=f'{name} has no setting "colour". Settings: '):
        estimator_class(name)(colour="red")


def test_a_misspelt_setting_is_answered_with_the_nearest():
    with pytest.raises(DesignError, match='Did you mean "comparison"'):
        impact.CallawaySantAnna(comparson="never_treated")


def test_the_settings_show_in_an_estimators_signature():
    settings = inspect.signature(impact.CallawaySantAnna).parameters
    assert list(settings)[:2] == ["comparison", "method"]


def test_every_package_imported_is_declared():
    """No dependency comes by way of another's, which may drop it any day."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [
        *project["dependencies"],
        *itertools.chain(*project["optional-dependencies"].values()),
    ]
    declared = {re.match(r"[A-Za-z0-9._-]+", line)[0].lower().replace("_", "-") for line in stated}
    homes = importlib.metadata.packages_distributions()
    missing = {
        name
        for path in (ROOT / "impact").rglob("*.py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if name not in sys.stdlib_module_names
        and name != "impact"
        and not {home.lower().replace("_", "-") for home in homes.get(name, [name])} & declared
    }
    assert not missing, f"declare {missing} in pyproject.toml"


def imported(tree):
    """Yield the top names of all modules a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]

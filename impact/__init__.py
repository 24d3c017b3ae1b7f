"""Evaluate impact on panel data: what changed, for whom, at what cost, how surely.

``Panel`` -> ``Design`` -> an estimator's ``fit`` -> ``Result``. Names are imported when first
used, so that ``import impact`` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impact import (
        calendar,
        datasets,
        errors,
        ledger,
        outcomes,
        places,
        plots,
        prices,
        sensitivity,
        simulate,
        tables,
        value,
    )
    from impact.comparison import Comparison, compare
    from impact.design import Design
    from impact.estimators import (
        ArellanoBond,
        AugmentedSyntheticControl,
        Between,
        BlundellBond,
        CallawaySantAnna,
        DistributedLag,
        DoseResponse,
        DoublyRobustDiD,
        EffectsByGroup,
        EfficientStaggered,
        ExtendedTWFE,
        FirstDifference,
        FixedEffects,
        HausmanTaylor,
        HeterogeneousAdoption,
        Imputation,
        InteractiveFixedEffects,
        LocalProjectionDiD,
        MatrixCompletion,
        MeanGroup,
        Mundlak,
        PanelIV,
        PanelMatching,
        PoissonFixedEffects,
        PooledOLS,
        RandomEffects,
        SlopesByGroup,
        StackedDiD,
        SunAbraham,
        SwitchersDiD,
        SyntheticControl,
        SyntheticDiD,
        TripleDifference,
        TwoStage,
        TwoWayFixedEffects,
    )
    from impact.estimators.from_formula import fit_formula
    from impact.estimators.parts.covariances import BeckKatz, Conley, DriscollKraay, NeweyWest
    from impact.estimators.parts.donor_pool import DonorPool
    from impact.estimators.parts.predictors import Predictor
    from impact.estimators.predictions import fixed_effects, predict
    from impact.estimators.specification_tests import (
        breusch_pagan_test,
        hausman_test,
        honda_test,
        poolability_test,
    )
    from impact.families import family
    from impact.formula import read_formula
    from impact.kernels.parallel import set_threads
    from impact.panel import Panel
    from impact.recommendation import recommend
    from impact.result import Result
    from impact.warehouse import scan

__version__ = "0.1.0"

_MODULES = (
    "calendar",
    "datasets",
    "errors",
    "ledger",
    "outcomes",
    "places",
    "plots",
    "prices",
    "sensitivity",
    "simulate",
    "tables",
    "value",
)
_HOMES = {
    "ArellanoBond": "impact.estimators",
    "AugmentedSyntheticControl": "impact.estimators",
    "BeckKatz": "impact.estimators.parts.covariances",
    "Between": "impact.estimators",
    "BlundellBond": "impact.estimators",
    "CallawaySantAnna": "impact.estimators",
    "Comparison": "impact.comparison",
    "Conley": "impact.estimators.parts.covariances",
    "Design": "impact.design",
    "DistributedLag": "impact.estimators",
    "DonorPool": "impact.estimators.parts.donor_pool",
    "DoseResponse": "impact.estimators",
    "DoublyRobustDiD": "impact.estimators",
    "DriscollKraay": "impact.estimators.parts.covariances",
    "EffectsByGroup": "impact.estimators",
    "EfficientStaggered": "impact.estimators",
    "ExtendedTWFE": "impact.estimators",
    "FirstDifference": "impact.estimators",
    "FixedEffects": "impact.estimators",
    "HausmanTaylor": "impact.estimators",
    "HeterogeneousAdoption": "impact.estimators",
    "Imputation": "impact.estimators",
    "InteractiveFixedEffects": "impact.estimators",
    "LocalProjectionDiD": "impact.estimators",
    "MatrixCompletion": "impact.estimators",
    "MeanGroup": "impact.estimators",
    "Mundlak": "impact.estimators",
    "NeweyWest": "impact.estimators.parts.covariances",
    "Panel": "impact.panel",
    "PanelIV": "impact.estimators",
    "PanelMatching": "impact.estimators",
    "PoissonFixedEffects": "impact.estimators",
    "PooledOLS": "impact.estimators",
    "Predictor": "impact.estimators.parts.predictors",
    "RandomEffects": "impact.estimators",
    "Result": "impact.result",
    "SlopesByGroup": "impact.estimators",
    "StackedDiD": "impact.estimators",
    "SunAbraham": "impact.estimators",
    "SwitchersDiD": "impact.estimators",
    "SyntheticControl": "impact.estimators",
    "SyntheticDiD": "impact.estimators",
    "TripleDifference": "impact.estimators",
    "TwoStage": "impact.estimators",
    "TwoWayFixedEffects": "impact.estimators",
    "breusch_pagan_test": "impact.estimators.specification_tests",
    "compare": "impact.comparison",
    "family": "impact.families",
    "fit_formula": "impact.estimators.from_formula",
    "fixed_effects": "impact.estimators.predictions",
    "hausman_test": "impact.estimators.specification_tests",
    "honda_test": "impact.estimators.specification_tests",
    "poolability_test": "impact.estimators.specification_tests",
    "predict": "impact.estimators.predictions",
    "read_formula": "impact.formula",
    "recommend": "impact.recommendation",
    "scan": "impact.warehouse",
    "set_threads": "impact.kernels.parallel",
}

__all__ = [
    "ArellanoBond",
    "AugmentedSyntheticControl",
    "BeckKatz",
    "Between",
    "BlundellBond",
    "CallawaySantAnna",
    "Comparison",
    "Conley",
    "Design",
    "DistributedLag",
    "DonorPool",
    "DoseResponse",
    "DoublyRobustDiD",
    "DriscollKraay",
    "EffectsByGroup",
    "EfficientStaggered",
    "ExtendedTWFE",
    "FirstDifference",
    "FixedEffects",
    "HausmanTaylor",
    "HeterogeneousAdoption",
    "Imputation",
    "InteractiveFixedEffects",
    "LocalProjectionDiD",
    "MatrixCompletion",
    "MeanGroup",
    "Mundlak",
    "NeweyWest",
    "Panel",
    "PanelIV",
    "PanelMatching",
    "PoissonFixedEffects",
    "PooledOLS",
    "Predictor",
    "RandomEffects",
    "Result",
    "SlopesByGroup",
    "StackedDiD",
    "SunAbraham",
    "SwitchersDiD",
    "SyntheticControl",
    "SyntheticDiD",
    "TripleDifference",
    "TwoStage",
    "TwoWayFixedEffects",
    "breusch_pagan_test",
    "calendar",
    "compare",
    "datasets",
    "errors",
    "family",
    "fit_formula",
    "fixed_effects",
    "hausman_test",
    "honda_test",
    "ledger",
    "outcomes",
    "places",
    "plots",
    "poolability_test",
    "predict",
    "prices",
    "read_formula",
    "recommend",
    "scan",
    "sensitivity",
    "set_threads",
    "simulate",
    "tables",
    "value",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"impact.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    from impact.errors import near

    suggestion = near(name, __all__).rstrip()
    raise AttributeError(f"module 'impact' has no attribute {name!r}. {suggestion}".rstrip())


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

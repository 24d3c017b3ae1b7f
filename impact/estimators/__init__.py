"""The estimators, one file each; ``ESTIMATORS`` names where each lives.

Adding one: its file, its test file, its line in ``ESTIMATORS`` and below ``TYPE_CHECKING``,
and its row in the README's table. Contract tests, reports and the command line follow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from impact.errors import DesignError, listing, near

if TYPE_CHECKING:
    from impact.estimators.augmented_synthetic_control import AugmentedSyntheticControl
    from impact.estimators.base import Estimator
    from impact.estimators.between import Between
    from impact.estimators.by_group import EffectsByGroup
    from impact.estimators.callaway_santanna import CallawaySantAnna
    from impact.estimators.distributed_lag import DistributedLag
    from impact.estimators.dose_response import DoseResponse
    from impact.estimators.doubly_robust_did import DoublyRobustDiD
    from impact.estimators.dynamic_panel import ArellanoBond, BlundellBond
    from impact.estimators.efficient_staggered import EfficientStaggered
    from impact.estimators.extended_twfe import ExtendedTWFE
    from impact.estimators.first_difference import FirstDifference
    from impact.estimators.fixed_effects import FixedEffects
    from impact.estimators.hausman_taylor import HausmanTaylor
    from impact.estimators.heterogeneous_adoption import HeterogeneousAdoption
    from impact.estimators.imputation import Imputation
    from impact.estimators.interactive_fixed_effects import InteractiveFixedEffects
    from impact.estimators.local_projection import LocalProjectionDiD
    from impact.estimators.matrix_completion import MatrixCompletion
    from impact.estimators.mean_group import MeanGroup
    from impact.estimators.mundlak import Mundlak
    from impact.estimators.panel_iv import PanelIV
    from impact.estimators.panel_matching import PanelMatching
    from impact.estimators.poisson import PoissonFixedEffects
    from impact.estimators.pooled import PooledOLS
    from impact.estimators.random_effects import RandomEffects
    from impact.estimators.slopes_by_group import SlopesByGroup
    from impact.estimators.stacked_did import StackedDiD
    from impact.estimators.sun_abraham import SunAbraham
    from impact.estimators.switchers import SwitchersDiD
    from impact.estimators.synthetic_control import SyntheticControl
    from impact.estimators.synthetic_did import SyntheticDiD
    from impact.estimators.triple_difference import TripleDifference
    from impact.estimators.twfe import TwoWayFixedEffects
    from impact.estimators.two_stage import TwoStage

ESTIMATORS = {
    "ArellanoBond": "impact.estimators.dynamic_panel",
    "AugmentedSyntheticControl": "impact.estimators.augmented_synthetic_control",
    "Between": "impact.estimators.between",
    "BlundellBond": "impact.estimators.dynamic_panel",
    "CallawaySantAnna": "impact.estimators.callaway_santanna",
    "DistributedLag": "impact.estimators.distributed_lag",
    "DoseResponse": "impact.estimators.dose_response",
    "DoublyRobustDiD": "impact.estimators.doubly_robust_did",
    "EffectsByGroup": "impact.estimators.by_group",
    "EfficientStaggered": "impact.estimators.efficient_staggered",
    "ExtendedTWFE": "impact.estimators.extended_twfe",
    "FirstDifference": "impact.estimators.first_difference",
    "FixedEffects": "impact.estimators.fixed_effects",
    "HausmanTaylor": "impact.estimators.hausman_taylor",
    "HeterogeneousAdoption": "impact.estimators.heterogeneous_adoption",
    "Imputation": "impact.estimators.imputation",
    "InteractiveFixedEffects": "impact.estimators.interactive_fixed_effects",
    "LocalProjectionDiD": "impact.estimators.local_projection",
    "MatrixCompletion": "impact.estimators.matrix_completion",
    "MeanGroup": "impact.estimators.mean_group",
    "Mundlak": "impact.estimators.mundlak",
    "PanelIV": "impact.estimators.panel_iv",
    "PanelMatching": "impact.estimators.panel_matching",
    "PoissonFixedEffects": "impact.estimators.poisson",
    "PooledOLS": "impact.estimators.pooled",
    "RandomEffects": "impact.estimators.random_effects",
    "SlopesByGroup": "impact.estimators.slopes_by_group",
    "StackedDiD": "impact.estimators.stacked_did",
    "SunAbraham": "impact.estimators.sun_abraham",
    "SwitchersDiD": "impact.estimators.switchers",
    "SyntheticControl": "impact.estimators.synthetic_control",
    "SyntheticDiD": "impact.estimators.synthetic_did",
    "TripleDifference": "impact.estimators.triple_difference",
    "TwoStage": "impact.estimators.two_stage",
    "TwoWayFixedEffects": "impact.estimators.twfe",
}

__all__ = [
    "ESTIMATORS",
    "ArellanoBond",
    "AugmentedSyntheticControl",
    "Between",
    "BlundellBond",
    "CallawaySantAnna",
    "DistributedLag",
    "DoseResponse",
    "DoublyRobustDiD",
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
    "PanelIV",
    "PanelMatching",
    "PoissonFixedEffects",
    "PooledOLS",
    "RandomEffects",
    "SlopesByGroup",
    "StackedDiD",
    "SunAbraham",
    "SwitchersDiD",
    "SyntheticControl",
    "SyntheticDiD",
    "TripleDifference",
    "TwoStage",
    "TwoWayFixedEffects",
    "estimator_class",
]


def estimator_class(name: str) -> type[Estimator]:
    """Return the estimator class of that name.

    Raises
    ------
    DesignError : no estimator has that name
    """
    if name not in ESTIMATORS:
        raise DesignError(
            f'there is no estimator "{name}". {near(name, ESTIMATORS)}'
            f"There are: {listing(ESTIMATORS, 60)}."
        )
    found: type[Estimator] = getattr(importlib.import_module(ESTIMATORS[name]), name)
    return found


def __getattr__(name: str) -> Any:
    if name in ESTIMATORS:
        return estimator_class(name)
    raise AttributeError(f"module 'impact.estimators' has no attribute {name!r}")

"""What a job, or another effect, cost: ratios with confidence sets that may have no upper end."""

from impact.value.accounting import (
    additionality,
    before_after,
    leverage,
    net_jobs,
    present_value,
)
from impact.value.benefits import BenefitCost, benefit_cost
from impact.value.costs import (
    CostPerUnit,
    cost_per_unit,
    gross_and_net,
    pooled_cost,
    ratio_of_effects,
)
from impact.value.ratios import fieller, spell_money, spell_set

__all__ = [
    "BenefitCost",
    "CostPerUnit",
    "additionality",
    "before_after",
    "benefit_cost",
    "cost_per_unit",
    "fieller",
    "gross_and_net",
    "leverage",
    "net_jobs",
    "pooled_cost",
    "present_value",
    "ratio_of_effects",
    "spell_money",
    "spell_set",
]

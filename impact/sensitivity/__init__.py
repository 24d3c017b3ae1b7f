"""How far an effect can be trusted: one analysis a file, each returning a ``Finding``."""

from impact.sensitivity.anticipation import anticipation
from impact.sensitivity.attrition import attrition
from impact.sensitivity.bacon import bacon
from impact.sensitivity.balance import balance
from impact.sensitivity.base import Check, Finding
from impact.sensitivity.battery import CHECKS, Battery, battery
from impact.sensitivity.carry_over import carry_over
from impact.sensitivity.cinelli_hazlett import cinelli_hazlett
from impact.sensitivity.honest import honest
from impact.sensitivity.leave_one_out import leave_one_out
from impact.sensitivity.oster import oster
from impact.sensitivity.placebo import placebo_cancelled, placebo_in_space, placebo_in_time
from impact.sensitivity.pretrends import pretrends
from impact.sensitivity.specification_curve import (
    Specification,
    specification_curve,
    specifications,
)
from impact.sensitivity.spillover import spillover
from impact.sensitivity.twfe_weights import twfe_weights

__all__ = [
    "CHECKS",
    "Battery",
    "Check",
    "Finding",
    "Specification",
    "anticipation",
    "attrition",
    "bacon",
    "balance",
    "battery",
    "carry_over",
    "cinelli_hazlett",
    "honest",
    "leave_one_out",
    "oster",
    "placebo_cancelled",
    "placebo_in_space",
    "placebo_in_time",
    "pretrends",
    "specification_curve",
    "specifications",
    "spillover",
    "twfe_weights",
]

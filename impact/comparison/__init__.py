"""Fit several estimators to one design and test whether their answers differ."""

from impact.comparison.comparison import Comparison
from impact.comparison.effects import AVERAGE
from impact.comparison.fit import USUAL, compare

__all__ = ["AVERAGE", "USUAL", "Comparison", "compare"]

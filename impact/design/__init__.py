"""The question, frozen: what was treated, when, how much, and which rows answer it."""

from impact.design.design import Design
from impact.design.facts import DesignFacts
from impact.design.rows import DesignRows

__all__ = ["Design", "DesignFacts", "DesignRows"]

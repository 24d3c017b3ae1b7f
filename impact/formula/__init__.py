"""Formulas as economists write them, read into a panel and the names of its columns."""

from impact.formula.reading import Model, composed, read_formula

__all__ = ["Model", "composed", "read_formula"]

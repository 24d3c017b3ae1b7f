"""Simulated data whose true effects are known: panels for tests, provinces for teaching."""

from impact.simulate.panels import SimulatedPanel, staggered_panel

__all__ = ["SimulatedPanel", "staggered_panel"]

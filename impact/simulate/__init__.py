"""Simulated data whose true effects are known: panels for tests, provinces for teaching."""

from impact.simulate.panels import SimulatedPanel, staggered_panel
from impact.simulate.programme import SimulatedProgramme, simulate_programme
from impact.simulate.provinces import SimulatedProvinces, simulate_provinces
from impact.simulate.settings import ProgrammeSettings

__all__ = [
    "ProgrammeSettings",
    "SimulatedPanel",
    "SimulatedProgramme",
    "SimulatedProvinces",
    "simulate_programme",
    "simulate_provinces",
    "staggered_panel",
]

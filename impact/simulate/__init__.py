"""Simulated data whose true effects are known: panels, programmes, villages, provinces."""

from impact.simulate.panels import SimulatedPanel, staggered_panel
from impact.simulate.programme import SimulatedProgramme, simulate_programme
from impact.simulate.provinces import SimulatedProvinces, simulate_provinces
from impact.simulate.settings import ProgrammeSettings
from impact.simulate.villages import SimulatedVillages, simulate_villages

__all__ = [
    "ProgrammeSettings",
    "SimulatedPanel",
    "SimulatedProgramme",
    "SimulatedProvinces",
    "SimulatedVillages",
    "simulate_programme",
    "simulate_provinces",
    "simulate_villages",
    "staggered_panel",
]

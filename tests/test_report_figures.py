"""Figures are the same bytes on any machine."""

import matplotlib
import pytest

from impact.report.figures import report_style, save_figure

NUDGE = 1e-13  # what another processor changes in a computed coordinate


@pytest.fixture
def drawn(tmp_path):
    def draw(nudge):
        import matplotlib.pyplot as plt

        with matplotlib.rc_context(report_style()):
            figure = plt.figure()
            axes = figure.add_axes((0.1 + nudge, 0.1, 0.8, 0.8))
            axes.plot([1.0, 2.0 + nudge, 3.0], [0.1, 0.7, 0.3 + nudge], marker="o")
            axes.scatter([1.5], [0.5 + nudge])
            axes.fill_between([1.0, 3.0], [0.0, 0.0], [0.2, 0.4 + nudge])
            path = tmp_path / f"{nudge}.svg"
            save_figure(figure, path, png=False)
            plt.close(figure)
        return path.read_text(encoding="utf-8")

    return draw


def test_a_change_in_the_last_digit_leaves_the_figure_as_it_is(drawn):
    assert drawn(0.0) == drawn(NUDGE)
    assert drawn(0.0) != drawn(0.01)


def test_every_reference_inside_a_figure_has_its_target(drawn):
    import re

    svg = drawn(0.0)
    targets = re.findall(r'id="([^"]+)"', svg)
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
    assert used
    assert {a or b for a, b in used} <= set(targets)
    assert len(targets) == len(set(targets))

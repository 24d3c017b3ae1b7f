"""Figures are the same bytes on any machine."""

import matplotlib
import pytest

from impact.report.figures import Drawing, report_style, save_figure, wrapped
from impact.report.text import text

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


def drawing():
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        figure = Figure(figsize=(3, 2), layout="constrained")
        ax = figure.subplots()
        ax.plot([2010, 2012], [0.25, 12345.75])
        label, title = ax.set_ylabel(""), ax.set_title("")
    said = text("one line", "một tiêu đề dài hơn nhiều, nên có đến ba dòng chữ")
    words = [(label, text("jobs", "việc làm")), (title, wrapped(said, 18))]
    return Drawing(figure, words, (ax,)), ax


def test_a_drawing_speaks_every_language_whatever_came_before(tmp_path):
    first, ax = drawing()
    english, vietnamese = first.svg("en"), first.svg("vi")
    assert english != vietnamese
    second, _ = drawing()
    assert (second.svg("vi"), second.svg("en")) == (vietnamese, english)
    assert second._repr_svg_().split() == english.decode("utf-8").split()
    second.save(tmp_path / "f.vi.svg", "vi")
    assert (tmp_path / "f.vi.svg").read_bytes() == vietnamese
    assert (tmp_path / "f.vi.png").read_bytes().startswith(b"\x89PNG")
    first.svg("vi")
    assert ax.get_title().count("\n") == 2
    assert ax.get_ylabel() == "việc làm"


def test_room_is_made_for_the_longest_title_in_both_languages():
    first, ax = drawing()
    first.svg("en")
    above = 1 - ax.get_position().y1
    assert above * 2 * 72 > 3 * 12  # three lines of a title of 12 points
    assert ax.get_title() == "one line"


def test_scales_write_numbers_as_the_language_does():
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        ax = Figure(layout="constrained").subplots()
        ax.plot([2010, 2012], [0.0, 12000.0])
        drawn = Drawing(ax.figure, (), (ax,))
    for language, most in (("en", "12,000"), ("vi", "12.000")):
        drawn.svg(language)
        ax.figure.canvas.draw()
        shown = [label.get_text() for label in ax.get_yticklabels()]
        assert most in shown
    years = [label.get_text() for label in ax.get_xticklabels()]
    assert "2010.0" in years or "2010.00" in years
    ax.set_ylim(0, 1)
    drawn = Drawing(ax.figure, (), (ax,))
    drawn.svg("vi")
    assert "0,2" in [label.get_text() for label in ax.get_yticklabels()]

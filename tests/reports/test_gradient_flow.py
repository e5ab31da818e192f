import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from foolscope.reports.figures import FlowLine, gradient_flow


def words(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def paths(svg, dashed):
    """The points of every line, (points, 2), of those with dashes or of those without."""
    found = re.findall(r'<path d="([^"]+)" clip-path="[^"]*" style="([^"]*)"', svg)
    lines = [
        np.array(re.findall(r"[ML] ?([-\d.]+) ([-\d.]+)", points), dtype=float)
        for points, style in found
        if ("dasharray" in style) == dashed and "--series" in style
    ]
    return [line for line in lines if len(line) > 1]


def test_norms_are_drawn_relative_to_the_last_on_a_log_scale():
    """Equal factors are equal distances, and a line that attains its bound lies on it."""
    svg = gradient_flow({"t": {"a": FlowLine(7.0 * 0.5 ** np.arange(5)[::-1], 0.5)}})
    (line,), (bound,) = paths(svg, dashed=False), paths(svg, dashed=True)
    steps = np.diff(line, axis=0)
    assert (steps[:, 0] > 0).all()
    np.testing.assert_allclose(steps, steps[:1].repeat(4, axis=0), atol=0.03)
    assert (steps[:, 1] < 0).all()
    np.testing.assert_allclose(line, bound, atol=0.03)


def test_panels_share_one_scale():
    svg = gradient_flow(
        {"one": {"a": FlowLine([1e-6, 1.0])}, "other": {"a": FlowLine([0.1, 1.0]), "b": FlowLine([1e-3, 1])}}
    )
    heights = [line[0, 1] - line[-1, 1] for line in paths(svg, dashed=False)]
    assert [height / heights[1] for height in heights] == pytest.approx([6, 1, 3], rel=0.01)


@pytest.mark.parametrize("norm", [1e30, 1e300])
def test_a_bound_far_away_does_not_flatten_the_lines(norm):
    near = gradient_flow({"t": {"a": FlowLine([0.1, 0.5, 1.0], 1.5)}})
    far = gradient_flow({"t": {"a": FlowLine([0.1, 0.5, 1.0], norm)}})
    (one,), (other,) = paths(near, dashed=False), paths(far, dashed=False)
    assert one[0, 1] - one[-1, 1] < 6 * (other[0, 1] - other[-1, 1])


def test_what_has_no_line_is_named_and_what_vanished_is_a_gap():
    lines = {
        "sound": FlowLine([0.0, 0.5, 1.0], 2.0),
        "gone": FlowLine([math.nan] * 3, math.nan),
        "dead": FlowLine([0.0] * 3, 1.0),
    }
    svg = gradient_flow({"t": lines})
    shown = words(svg)
    assert {"gone: diverged", "dead: no gradient"} <= set(shown)
    assert not [word for word in shown if "sound:" in word]
    assert "nan" not in svg.lower()
    assert [len(line) for line in paths(svg, dashed=False)] == [2]


def test_the_legend_explains_dashes_only_where_there_are_any():
    bounded, free = (gradient_flow({"t": {"a": FlowLine([0.1, 1.0], norm)}}) for norm in (0.9, None))
    assert "bound ‖w‖^(T−t)" in words(bounded)
    assert "bound ‖w‖^(T−t)" not in words(free)
    assert not paths(free, dashed=True)


@pytest.mark.parametrize("count", [1, 2, 28, 224])
def test_any_number_of_steps(count):
    ElementTree.fromstring(gradient_flow({"t": {"a": FlowLine(np.ones(count), 1.0)}}))

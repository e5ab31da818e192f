"""Constructive approximation in reports: the guarantee, the hidden units, and trained networks."""

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.demonstrations.measures import formula, mean_text
from foolscope.reports.phrases import join_words

__all__ = ["blocks", "sentence"]


def sentence(record: DemonstrationRecord) -> str:
    """Say how hidden units grow with t/ε, and that the guarantee held."""
    return (
        f"The errors of networks with constructed weights are at most {_share(record, 'error_share')} of the "
        "guaranteed bounds; the number of hidden units grows as t/ε to the power of "
        f"{mean_text(record, 'line_slope')} on the line and {mean_text(record, 'plane_slope')} in the plane."
    )


def blocks(record: DemonstrationRecord) -> list[doc.Block]:
    """Explain and show the construction and its cost."""
    settings, stated = record.settings, record.data["stated"]
    ratios = {
        place: join_words([f"{each:g}" for each in settings[f"{place}_ratios"]])
        for place in ("line", "plane")
    }
    pieces = (
        f"A sigmoid unit {formula('σ(wx + b)')} is a step at −b/w with steepness w and the height of its "
        f"output weight. Two of them make a bump: {formula('σ(500x − 200) + σ(−500x + 300) − 1')} is "
        f"{mean_text(record, 'bump_height')} at 0.5 "
        f"and at most {mean_text(record, 'bump_outside')} further than 0.02 from [0.4, 0.6]. Four hidden "
        f"units and one output unit make a tower, {mean_text(record, 'tower_height')} high at its center and "
        f"at most {mean_text(record, 'tower_outside')} further than 0.05 from its sides."
    )
    cost = (
        "A function whose slope in each direction is at most t changes within a cell by no more than t times "
        "its width, so cells of a width proportional to ε/t, each with one height, are within ε: about "
        "t/ε hidden units on the line and (t/ε)² in the plane. Overlaps of neighbors and the finite "
        f"steepness are part of the guaranteed bound, which is at most {mean_text(record, 'bound_share')} of "
        f"the requested ε; the largest measured error on a fine grid is {_share(record, 'error_share')} "
        f"of that bound, over three functions on the line (t/ε = {ratios['line']}) and three in the plane "
        f"(t/ε = {ratios['plane']})."
    )
    trained = (
        f"For comparison, networks of one hidden layer were trained with {settings['training_steps']:,} "
        "steps of Adam. With the same number of units their error was smaller in "
        f"{_share(record, 'line_trained_nearer')} of the cases on the line and "
        f"{_share(record, 'plane_trained_nearer')} in the plane; they reached the error of the "
        f"constructed network with fewer units in {_share(record, 'line_trained_fewer')} and "
        f"{_share(record, 'plane_trained_fewer')}. Training has no guarantee, and longer training might "
        "need fewer units."
    )
    costs = {"on the line": record.data["line"], "in the plane": record.data["plane"]}
    figure = doc.Figure(
        draw.later(draw.approximation, stated, costs),
        f"Left: {stated['name']}, with a network of {stated['hidden_units']} hidden units and constructed "
        f"weights, and ε = {stated['epsilon']:.3g}. Right: hidden units against t/ε, with the measured error "
        "for ε; the lines have the fitted slopes. First seed.",
        "A curve with a staircase along it inside a band, and hidden units rising with t/ε along straight "
        "lines.",
        key=f"approximation-{record.name}",
    )
    return [doc.Paragraph(pieces), doc.Paragraph(cost), figure, doc.Paragraph(trained)]


def _share(record: DemonstrationRecord, name: str) -> str:
    mean = record.measure(name).mean
    return "no known share" if mean is None else f"{100 * mean:.0f} %"

"""The shifted ReLU in reports: with and without biases, and the graph of the sigmoid."""

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.demonstrations.measures import formula, mean_text

__all__ = ["blocks", "sentence"]


def sentence(record: DemonstrationRecord) -> str:
    """Say how far the outputs agree with biases, and the loss without."""
    return (
        "With biases, the outputs of a network of max(t, o) and of its conversion to max(t, 0) differ by at "
        f"most {mean_text(record, 'output_difference')}; without biases, the best loss of a ReLU network is "
        f"{mean_text(record, 'loss_without_bias')} times the mean square of a shifted network's output."
    )


def blocks(record: DemonstrationRecord) -> list[doc.Block]:
    """Explain and show the conversion, the training, the loss without biases, the sigmoid's derivative."""
    settings = record.settings
    conversion = (
        f"A hidden unit {formula('max(t, o)')} with a learned offset o is {formula('max(t − o, 0) + o')}. So "
        f"the biases around it absorb the offset: a network with {formula('t = W₁x + b₁')} and "
        f"{formula('y = W₂ max(t, o) + b₂')} computes the same as one of ordinary ReLUs with the biases "
        f"{formula('b₁ − o')} and {formula('b₂ + W₂ o')}, and vice versa. The offset adds "
        f"nothing to what the networks can compute. Here, with {settings['inputs']} inputs, "
        f"{settings['hidden']} hidden units and {settings['outputs']} outputs, in float64, the outputs "
        f"differ by at most {mean_text(record, 'output_difference')}."
    )
    condition = (
        "Whether they also train alike depends on the step. The chain rule through the conversion gives the "
        "gradients of the shifted network from those of the ReLU network (with a prime): "
        f"{formula('∂W₁ = ∂W₁′')}, {formula('∂b₁ = ∂b₁′')}, {formula('∂b₂ = ∂b₂′')}, but "
        f"{formula('∂W₂ = ∂W₂′ + ∂b₂′ oᵀ')} and {formula('∂o = W₂ᵀ ∂b₂′ − ∂b₁′')}. After "
        f"{settings['steps']} steps of η = {settings['learning_rate']:g} from matched starts, the converted "
        "parameters differ by at most"
    )
    items = [
        (
            doc.Strong(mean_text(record, "matched_difference")),
            " with matched steps: the ReLU network takes the steps of the shifted one, by these equations. "
            "Training is the same in other coordinates.",
        ),
        (
            doc.Strong(mean_text(record, "held_difference")),
            " with equal steps, the offset and W₂ held fixed: the other parameters have equal gradients.",
        ),
        (
            doc.Strong(mean_text(record, "equal_difference")),
            " with equal steps of all parameters: the networks move apart, because W₂ of the shifted network "
            "sees its hidden units with o added, and o moves too. Both learn: their final losses differ by "
            f"{mean_text(record, 'loss_difference')} times the initial loss.",
        ),
    ]
    without = (
        "Without biases nothing absorbs the offset. A ReLU network of one input x is then a x for x > 0 "
        "and b x for x < 0, however many units it has, so its best loss is known in closed form: "
        f"{mean_text(record, 'loss_without_bias')} times the mean square of the targets, which a shifted "
        "network without biases computes exactly. Training reaches "
        f"{mean_text(record, 'trained_without_bias')} times that loss. With biases, the loss of the "
        f"conversion is {mean_text(record, 'loss_with_bias')} times the mean square of the targets, which is "
        "rounding error."
    )
    sigmoid = (
        f"The sigmoid {formula('σ(x) = 1 / (1 + e⁻ˣ)')} is four operations. In the backward pass, each "
        "multiplies the incoming gradient by its local slope, written on the edges: "
        f"{formula('−1/v² = −σ²')} of the reciprocal, 1 of the sum, {formula('u = e⁻ˣ')} of the exponential, "
        f"−1 of the negation. Their product is {formula('σ² e⁻ˣ')}, and as {formula('e⁻ˣ = 1/σ − 1')}, it "
        f"is {formula('σ(1 − σ)')}, within {mean_text(record, 'sigmoid_error')} at 65 points from −8 to 8."
    )
    return [
        doc.Paragraph(conversion),
        doc.Paragraph(condition),
        doc.Bullets(items),
        _training(record),
        doc.Paragraph(without),
        _functions(record),
        doc.Paragraph(sigmoid),
        _graph(record),
    ]


def _training(record: DemonstrationRecord) -> doc.Figure:
    curves = {each["name"]: (record.data["steps"], each["losses"]) for each in record.data["curves"]}
    return doc.Figure(
        draw.later(draw.descent_curves, curves, title="Mean squared error"),
        "The loss by step from matched starts, both axes logarithmic: with matched steps the two networks "
        "coincide, with equal steps they move apart. First seed.",
        "Three falling curves, two of which coincide.",
        key=f"training-{record.name}",
    )


def _functions(record: DemonstrationRecord) -> doc.Figure:
    picture = record.data["without_bias"]
    curves = {
        "max(t, o), without biases": draw.Band(picture["targets"]),
        "best of max(t, 0) without biases": draw.Band(picture["best"]),
    }
    return doc.Figure(
        draw.later(
            draw.line_panels, picture["x"], {"Output": curves}, x_label="input x", width=680, height=300
        ),
        "The output of a shifted network without biases, and the best fit to it by any ReLU network without "
        "biases. First seed.",
        "A curve, and far from it two straight lines that meet at the origin.",
        key=f"without-bias-{record.name}",
    )


def _graph(record: DemonstrationRecord) -> doc.Figure:
    return doc.Figure(
        draw.later(draw.computational_graph, record.data["nodes"], record.data["edges"]),
        "The computational graph of σ(x) at x = 1: in each box the value of the forward pass and the slope "
        "of the output with respect to it; on each edge the local slope.",
        "Boxes from x over the negation, the exponential, the sum with 1 and the reciprocal, joined by "
        "arrows.",
        key=f"graph-{record.name}",
    )

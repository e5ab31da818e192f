"""Gradients through time: the bound, what vanishes and explodes, and what mitigates it."""

from foolscope.experiments.demonstration_records import DemonstrationRecord
from foolscope.reports import figures as draw
from foolscope.reports.document import Block, Figure, Paragraph
from foolscope.reports.sections.measures import mean_text
from foolscope.reports.sections.phrases import join_words

__all__ = ["flow_blocks", "flow_sentence"]


def flow_sentence(record: DemonstrationRecord) -> str:
    """Say how much of the gradient arrives at the first step, by spectral norm."""
    norms = record.settings["spectral_norms"]
    said = [f"{mean_text(record, f'linear@{norm:g}')} for ‖w‖ = {norm:g}" for norm in norms]
    return (
        f"Over {record.settings['rows']} time steps a linear recurrence hands back {join_words(said)} times "
        "the gradient that arrives at its last state."
    )


def flow_blocks(record: DemonstrationRecord) -> list[Block]:
    """Explain and show the gradients by time step."""
    settings = record.settings
    bound = (
        "A recurrence h_t = φ(w h_t−1 + …) hands the gradient back as ∂L/∂h_t−1 = wᵀ diag(φ′) ∂L/∂h_t. A "
        "factor of norm at most ‖w‖, where φ has slope at most 1: over T − t steps the norm is at most "
        "‖w‖^(T−t) times that of the last state, ‖w‖^(T−1) from the first. Below 1 it vanishes; above 1 it "
        "may explode. The recurrent matrices here are orthogonal times a factor, so that a linear "
        f"recurrence attains the bound (to {mean_text(record, 'theory_error')}, their weights being in "
        f"float32); no RNN exceeds it (the largest share is {mean_text(record, 'bound_share')}). The "
        f"networks are as initialized and read {settings['images']} images of noise, {settings['rows']} rows "
        f"of {settings['width']} numbers each."
    )
    said = [
        f"{mean_text(record, f'tanh@{norm:g}')} instead of {mean_text(record, f'linear@{norm:g}')} for "
        f"‖w‖ = {norm:g}"
        for norm in settings["spectral_norms"]
    ]
    gates = [f"{mean_text(record, f'lstm@{bias:g}')} with {bias:g}" for bias in settings["forget_biases"]]
    cures = (
        f"A bounded activation damps: tanh hands back {join_words(said)}. An LSTM carries its memory through "
        "a gate instead of a matrix; how much of the gradient by its last cell arrives at the first depends "
        f"on the bias of the forget gate: {join_words(gates)}. Clipping by norm does not change the "
        f"direction of a step but its length: {settings['training_steps']} steps of training on digits, with "
        f"the largest ‖w‖, have steps of up to {mean_text(record, 'free_step')} times the learning rate "
        f"without it, and {mean_text(record, 'clipped_step')} when clipped at {settings['clipping']:g}."
    )
    panels = {
        panel["title"]: {
            line["words"]: draw.FlowLine(line["norms"], line["spectral_norm"]) for line in panel["lines"]
        }
        for panel in record.data["panels"]
    }
    figure = Figure(
        draw.gradient_flow(panels),
        "The norm of the loss's gradient by the state after each time step, in units of the last, at "
        "initialization; dashed, the bound. For the LSTM it is the cell's. First seed.",
        "Curves over the time steps on a logarithmic axis: straight for linear recurrences, below them for "
        "tanh.",
        key=f"flow-{record.name}",
    )
    return [Paragraph(bound), Paragraph(cures), figure]

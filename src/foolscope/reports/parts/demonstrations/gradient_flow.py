"""Gradients through time in reports: the bound, vanishing, exploding, and remedies."""

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.demonstrations.measures import formula, mean_text
from foolscope.reports.phrases import join_words

__all__ = ["blocks", "sentence"]


def sentence(record: DemonstrationRecord) -> str:
    """Say by which factor a linear recurrence scales the gradient, for each spectral norm."""
    norms = record.settings["spectral_norms"]
    said = [f"{mean_text(record, f'linear@{norm:g}')} {_of(norm)}" for norm in norms]
    return (
        f"Over {record.settings['rows']} time steps a linear recurrence scales the gradient by "
        f"{join_words(said)}."
    )


def blocks(record: DemonstrationRecord) -> list[doc.Block]:
    """Explain and show the gradients by time step."""
    settings = record.settings
    bound = (
        f"A recurrence {formula('hₜ = φ(w hₜ₋₁ + …)')} passes the gradient back as "
        f"{formula('∂L/∂hₜ₋₁ = wᵀ diag(φ′) ∂L/∂hₜ')}. Each factor has norm at most ‖w‖, if φ has slope at "
        f"most 1: over {formula('T − t')} steps the norm is at most ‖w‖^(T−t) times that of the "
        "last state, ‖w‖^(T−1) from the first. Below 1 it vanishes; above 1 it may explode. The recurrent "
        "matrices here are orthogonal times a factor, so a linear recurrence attains the bound (within "
        f"{mean_text(record, 'theory_error')}; the weights are float32). No RNN exceeds it (the largest "
        f"fraction is {mean_text(record, 'bound_share')}). The networks are untrained and read "
        f"{settings['images']} images of noise, {settings['rows']} rows of {settings['width']} numbers each."
    )
    said = [
        f"{mean_text(record, f'tanh@{norm:g}')} instead of {mean_text(record, f'linear@{norm:g}')} "
        + _of(norm)
        for norm in settings["spectral_norms"]
    ]
    gates = [f"{mean_text(record, f'lstm@{bias:g}')} with {bias:g}" for bias in settings["forget_biases"]]
    cures = (
        f"A saturating activation damps the gradient: with tanh it is scaled by {join_words(said)}. An "
        "LSTM carries its memory through a gate instead of a matrix; the ratio of the gradient at its first "
        f"cell to that at its last depends on the bias of the forget gate: {join_words(gates)}."
    )
    return [
        doc.Paragraph(bound),
        doc.Paragraph(cures),
        doc.Figure(
            draw.later(draw.gradient_flow, _panels(record, "panels")),
            "The norm of the loss\u2019s gradient with respect to the state after each time step, "
            "divided by the last, at initialization. Dashed: the bound. The state of the LSTM is its cell. "
            "First seed.",
            "Curves over the time steps on a logarithmic axis: straight for linear recurrences, below them "
            "for tanh.",
            key=f"flow-{record.name}",
        ),
        doc.Paragraph(_training(record)),
        doc.Figure(
            draw.later(draw.gradient_flow, _panels(record, "trained_panels")),
            f"The same after {settings['training_steps']} steps of training. First seed.",
            "Curves over the time steps on a logarithmic axis; diverged runs are named.",
            key=f"trained-flow-{record.name}",
        ),
    ]


def _training(record: DemonstrationRecord) -> str:
    """Say what training does to the gradients, and what clipping and weight decay do to training."""
    settings = record.settings
    steepest = f"{max(settings['spectral_norms']):g}"
    ends = record.measure("free_loss")
    free = (
        f"ends at {mean_text(record, 'free_loss')} times its initial loss"
        if ends.mean is not None
        else f"becomes infinite or NaN in {ends.values.count(None)} of {len(ends.values)} seeds"
    )
    reached = [
        f"{mean_text(record, f'tanh_trained@{norm:g}')} {_of(norm)}" for norm in settings["spectral_norms"]
    ]
    gates = [
        f"{mean_text(record, f'lstm_trained@{bias:g}')} with {bias:g}" for bias in settings["forget_biases"]
    ]
    return (
        f"In training: the same networks after {settings['training_steps']} steps of plain gradient descent "
        f"at {settings['training_rate']:g} on digits, enlarged to the same number of rows. The linear "
        f"recurrence with {formula('‖w‖ = ' + steepest)} has a first step of norm "
        f"{mean_text(record, 'free_step')} times the learning rate and {free}. Clipping by norm changes the "
        f"length of a step, not its direction: with steps of at most {mean_text(record, 'clipped_step')} "
        f"times the learning rate the same network ends at {mean_text(record, 'clipped_loss')} times its "
        f"initial loss. Weight decay (an L2 coefficient of {settings['l2']:g}) reduces ‖w‖ itself, but "
        f"slowly: the tanh recurrence that began at {steepest} ends at {mean_text(record, 'decayed_norm')} "
        f"times the ‖w‖ without it. After training, tanh scales the gradient by {join_words(reached)}, an "
        f"LSTM by {join_words(gates)}."
    )


def _of(norm: float) -> str:
    return f"for {formula(f'‖w‖ = {norm:g}')}"


def _panels(record: DemonstrationRecord, name: str) -> dict[str, dict[str, draw.FlowLine]]:
    return {
        panel["title"]: {
            line["words"]: draw.FlowLine(line["norms"], line["spectral_norm"]) for line in panel["lines"]
        }
        for panel in record.data[name]
    }

"""Low-rank factorization in reports: the minimum, gradient descent, and the saddle at the origin."""

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.demonstrations.measures import formula, mean_text
from foolscope.reports.phrases import one_or_many

__all__ = ["blocks", "sentence"]


def sentence(record: DemonstrationRecord) -> str:
    """Say how near all starts come to the minimum, and how far apart their factors are."""
    return (
        f"Gradient descent from {one_or_many(record.settings['starts'], 'random start')} ends within a "
        f"relative {mean_text(record, 'descent_excess')} of the minimum of ‖X − AB‖², with factors A that "
        f"differ by at least {mean_text(record, 'factor_difference')} of their norm; at the origin the "
        f"curvature ranges from {mean_text(record, 'least_curvature')} to "
        f"{mean_text(record, 'largest_curvature')}."
    )


def blocks(record: DemonstrationRecord) -> list[doc.Block]:
    """Explain and show the factorization."""
    settings, data = record.settings, record.data
    problem = (
        f"A random {settings['rows']} × {settings['columns']} matrix X with singular values σ = 1, "
        f"{settings['decay']:g}, {settings['decay']:g}² … is approximated by AB, A with {settings['rank']} "
        f"columns and B with {settings['rank']} rows. Eckart and Young: no product of that rank has a "
        f"smaller error than {formula('‖X − AB‖² = Σ σ²')} over the remaining singular values, and "
        f"{formula('A = U_r')}, "
        f"{formula('B = Σ_r V_rᵀ')} from the singular value decomposition attains it (to "
        f"{mean_text(record, 'closed_form_error')}). With any invertible H, AH and H⁻¹B have the same "
        f"product, hence the same value (to {mean_text(record, 'invariance_error')} for a random H): the "
        "minimizer is never unique."
    )
    descent = (
        f"The problem is not convex. With A = 0 and B = 0 the gradients {formula('2 (AB − X) Bᵀ')} and "
        f"{formula('2 Aᵀ (AB − X)')} are zero, but the matrix of second derivatives there has eigenvalues "
        f"±2σ: {mean_text(record, 'least_curvature')} and {mean_text(record, 'largest_curvature')} are the "
        "extreme ones, so the origin is a saddle point. Yet gradient "
        f"descent at η = {settings['learning_rate']:g} from "
        f"{one_or_many(settings['starts'], 'random start')} reaches the minimum every time, within "
        f"{mean_text(record, 'descent_excess')}: the products agree to "
        f"{mean_text(record, 'product_difference')}, the factors do not (they differ by "
        f"{mean_text(record, 'factor_difference')} of their norm or more), and any two differ by a factor "
        f"H, up to {mean_text(record, 'factor_residual')}."
    )
    figure = doc.Figure(
        draw.later(
            draw.descent_curves,
            {
                f"start {start}": (data["steps"], losses)
                for start, losses in enumerate(data["losses"], start=1)
            },
            levels={"Eckart and Young": data["best_value"]},
            title="‖X − AB‖²",
        ),
        "The value by step from each random start, both axes logarithmic, and the minimum. "
        "Plateaus are saddle points. First seed.",
        "Curves that fall in stages, each from a different start, to one common line.",
        key=f"factorization-{record.name}",
    )
    return [doc.Paragraph(problem), doc.Paragraph(descent), figure]

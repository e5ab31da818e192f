"""Claims about a gradient check: ``check:NAME`` is its largest relative error, one for every seed."""

from collections.abc import Mapping, Sequence

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.claims.claim import ValueClaim
from foolscope.experiments.parts.checks import gradient_check_document
from foolscope.experiments.running.run import Observer, Stage
from foolscope.experiments.running.session import Session
from foolscope.experiments.study import Study
from foolscope.inspection import GRADIENT_CHECKS

__all__ = ["CHECK", "CheckErrors", "check_errors", "check_of"]

CHECK = "check:"
"""How a metric begins that a gradient check measures."""

CheckErrors = Mapping[tuple[str, str], Sequence[float]]
"""Recipe and check to its largest relative error at the initial weights of every seed."""


def check_of(metric: str) -> str:
    """Return the gradient check that a metric speaks of.

    Raises:
        RecipeError: there is none of that name.

    Example:
        >>> check_of("check:gradients by hand")
        'gradients by hand'
    """
    name = metric.removeprefix(CHECK)
    if name not in GRADIENT_CHECKS:
        raise RecipeError(f"no gradient check {name!r}. {did_you_mean(name, GRADIENT_CHECKS)}")
    return name


def check_errors(study: Study, session: Session, observe: Observer) -> CheckErrors:
    """Make the gradient checks that claims are about, or read what they said, for every seed.

    Raises:
        RecipeError: a check has to be left out for the recipe.
    """
    claimed = [
        (str(claim.recipe), check_of(claim.metric))
        for claim in study.claims
        if isinstance(claim, ValueClaim) and claim.metric.startswith(CHECK)
    ]
    found: dict[tuple[str, str], list[float]] = {}
    for position, (name, check) in enumerate(dict.fromkeys(claimed)):
        observe(Stage("checking gradients", position / len(claimed), f"{name}, {check}"))
        errors = []
        for seed in range(study.seeds):
            recipe = study.recipes[name].model_copy(update={"seed": seed})
            document = gradient_check_document(check, recipe, session)
            if document["left_out"]:
                raise RecipeError(f"no claim can be made about {check} of {name}: {document['sentence']}")
            errors.append(float(document["numbers"]["error"]))
        found[name, check] = errors
    return found

"""Forty steps of projected gradient descent from a random start: ours, Foolbox's, torchattacks', ART's."""

from torch import Tensor, nn

from attack_ways.case import Case
from attack_ways.peers import art_classifier, art_norm, by_art
from attack_ways.referee import Way, in_batches
from foolscope.attacks import PGD, robust_accuracy_curve

__all__ = ["ART", "FOOLBOX", "OURS", "PATH", "STEPS", "TORCHATTACKS", "ways"]

OURS, FOOLBOX = "foolscope PGD-40", "Foolbox PGD-40"
TORCHATTACKS, ART = "torchattacks PGD-40", "ART PGD-40"

STEPS = 40
PATH = 2.5
"""Budgets that all steps together walk: the step size of all ways is 2.5 ε / 40."""

_BATCH_SIZES = (64, 250, 500)


def ways() -> list[Way]:
    """Return ours and those of the peers."""
    return [
        Way(OURS, _ours, batch_sizes=(0,)),
        Way(FOOLBOX, _foolbox, "foolbox", "foolbox", batch_sizes=_BATCH_SIZES),
        Way(TORCHATTACKS, _torchattacks, "torchattacks", "torchattacks", batch_sizes=_BATCH_SIZES),
        Way(ART, _art, "art", "adversarial-robustness-toolbox", batch_sizes=_BATCH_SIZES),
    ]


def _ours(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    curve = robust_accuracy_curve(
        model,
        case.images,
        case.labels,
        case.norm,
        [case.epsilon],
        [PGD(steps=STEPS)],
        seed=seed,
        batch_size=batch_size or None,
    )
    return curve.adversarial_inputs


def _foolbox(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    import foolbox

    attacks = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    attack = attacks[case.norm](rel_stepsize=PATH / STEPS, steps=STEPS, random_start=True)
    theirs = foolbox.PyTorchModel(model, bounds=(0, 1), device=case.images.device)

    def on_batch(images: Tensor, labels: Tensor) -> Tensor:
        _, clipped, _ = attack(theirs, images, labels, epsilons=case.epsilon)
        found: Tensor = clipped
        return found

    return in_batches(on_batch, case, batch_size)


def _torchattacks(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    import torchattacks

    attacks = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}
    attack = attacks[case.norm](model, eps=case.epsilon, alpha=PATH * case.epsilon / STEPS, steps=STEPS)
    return in_batches(attack, case, batch_size)


def _art(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    from art.attacks.evasion import ProjectedGradientDescent

    attack = ProjectedGradientDescent(
        art_classifier(model, case),
        norm=art_norm(case),
        eps=case.epsilon,
        eps_step=PATH * case.epsilon / STEPS,
        max_iter=STEPS,
        num_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )
    return by_art(attack, case)

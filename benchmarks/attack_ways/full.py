"""The whole evaluation: ours, AutoAttack of its authors, and what torchattacks and ART call by its name."""

import os
import sys

from torch import Tensor, nn

from attack_ways.case import Case
from attack_ways.peers import art_classifier, art_norm, by_art
from attack_ways.referee import Way, in_batches
from foolscope.attacks import evaluate_robustness

__all__ = [
    "ART",
    "AUTOATTACK",
    "OURS",
    "TORCHATTACKS",
    "VARIABLE",
    "eight_budgets",
    "find_autoattack",
    "ways",
]

OURS, AUTOATTACK = "foolscope full", "AutoAttack standard"
TORCHATTACKS, ART = "torchattacks AutoAttack", "ART AutoAttack"

VARIABLE = "AUTOATTACK_PATH"
"""Environment variable with the folder of a checkout of fra31/auto-attack."""


def find_autoattack() -> None:
    """Let ``autoattack`` be imported from the checkout that the environment variable names, if it does.

    First in the path: old wheels of torchattacks bring an old copy that imports nothing any more.
    """
    folder = os.environ.get(VARIABLE)
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)


def ways() -> list[Way]:
    """Return ours and those of the peers."""
    return [
        Way(OURS, _ours, batch_sizes=(0,)),
        Way(
            AUTOATTACK,
            _autoattack,
            "autoattack.state",  # which that old copy does not have
            "autoattack",
            hint=f"{VARIABLE}=folder of a checkout of github.com/fra31/auto-attack",
            remark="APGD-CE, targeted APGD, targeted FAB and Square, 100 steps and 5,000 queries",
        ),
        Way(
            TORCHATTACKS,
            _torchattacks,
            "torchattacks",
            "torchattacks",
            remark="the same four attacks, but 10 steps of APGD and FAB, not 100",
        ),
        Way(
            ART,
            _art,
            "art",
            "adversarial-robustness-toolbox",
            remark="another ensemble: APGD-CE, APGD-DLR and Square with 5 restarts each, DeepFool; "
            "nothing targeted",
        ),
    ]


def eight_budgets(epsilon: float) -> list[float]:
    """Return a quarter of a budget to twice the budget, which is the fourth."""
    return [epsilon * number / 4 for number in range(1, 9)]


def _ours(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    curve = evaluate_robustness(
        model,
        case.images,
        case.labels,
        case.norm,
        [case.epsilon],
        seed=seed,
        batch_size=batch_size or None,
    )
    return curve.adversarial_inputs


def _autoattack(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    from autoattack import AutoAttack

    attack = AutoAttack(
        model,
        norm={"linf": "Linf", "l2": "L2"}[case.norm],
        eps=case.epsilon,
        version="standard",
        seed=seed,
        verbose=False,
        device=case.images.device,
    )
    found: Tensor = attack.run_standard_evaluation(case.images, case.labels, bs=batch_size)
    return found


def _torchattacks(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    import torchattacks

    attack = torchattacks.AutoAttack(
        model,
        norm={"linf": "Linf", "l2": "L2"}[case.norm],
        eps=case.epsilon,
        version="standard",
        n_classes=model(case.images[:1]).shape[1],
        seed=seed,
    )
    return in_batches(attack, case, batch_size)


def _art(model: nn.Module, case: Case, batch_size: int, seed: int) -> Tensor:
    from art.attacks.evasion import AutoAttack

    attack = AutoAttack(
        art_classifier(model, case),
        norm=art_norm(case),
        eps=case.epsilon,
        eps_step=case.epsilon,  # of which APGD's first step is twice as long, as in the paper
        batch_size=batch_size,
    )
    for each in attack.attacks:
        each.set_params(verbose=False)
    return by_art(attack, case)

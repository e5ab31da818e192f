"""Models attacked side by side, each compared with a run of its own."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foolscope.attacks import APGD, FAB, FGSM, FMN, PGD, GaussianNoise, Square, evaluate_robustness, run
from foolscope.attacks.evaluation import cascade
from foolscope.attacks.evaluation.full_evaluation import robustness_evaluation
from foolscope.attacks.evaluation.robust_accuracy import curve_evaluation, robust_accuracy_curve
from foolscope.attacks.evaluation.stages import AttackStage
from foolscope.attacks.losses import misclassified
from foolscope.attacks.runner import side_by_side as module
from foolscope.attacks.runner.request import Request
from foolscope.attacks.runner.side_by_side import alone, side_by_side
from foolscope.attacks.runner.together import run_together
from foolscope.core.randomness import torch_generator
from foolscope.threats import Threat

COUNTED = ("forwards", "backwards", "steps", "items", "success", "finished", "doubts", "attack")


class Odd(nn.Module):
    """A network without a packed form, and with a layer that no trace sees through."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(images)
        return logits * (2.0 if float(logits.detach().abs().max()) > 0 else 1.0)


def perceptron(seed: int, hidden: int = 32) -> nn.Module:
    generator = torch_generator(seed, "side by side")
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 16), nn.ReLU(), nn.Linear(16, 10)
    )
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * (
            1.4 / parameter.shape[-1] ** 0.5
        )
    return network.double().eval()


def convolutional(seed: int) -> nn.Module:
    generator = torch_generator(seed, "side by side")
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
    )
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return network.double().eval()


def digits(models: list[nn.Module], count: int = 40) -> tuple[Tensor, list[Tensor]]:
    """Images of the size of digits; the labels are what each model says but for every ninth image."""
    images = torch.rand(count, 1, 8, 8, generator=torch_generator(1, "images"), dtype=torch.float64)
    labels = [model(images).argmax(1) for model in models]
    for each in labels:
        each[::9] = (each[::9] + 1) % 10
    return images, labels


def requests_of(models: list[nn.Module], attack: Any, **settings: Any) -> list[Request]:
    images, labels = digits(models)
    return [
        Request(model, images, own, Threat("linf", 0.08), attack, seed, **settings)
        for seed, (model, own) in enumerate(zip(models, labels, strict=True))
    ]


def alone_of(request: Request) -> Any:
    values = {each.name: getattr(request, each.name) for each in fields(request)}
    values.pop("place")
    given = [values.pop(name) for name in ("model", "images", "labels", "threat", "attack")]
    return run(*given, **values)


def assert_same(together: Any, by_itself: Any) -> None:
    for name in COUNTED:
        one, other = getattr(together, name), getattr(by_itself, name)
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other, name
    for name in ("adversarial_inputs", "adversarial_logits", "perturbation_sizes", "smallest_margins"):
        torch.testing.assert_close(getattr(together, name), getattr(by_itself, name), rtol=1e-6, atol=1e-8)


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "packed": perceptron,
    "packed maps": convolutional,
    "of several widths": lambda seed: perceptron(seed, 24 + 4 * seed),
    "without a packed form": lambda seed: Odd(perceptron(seed)),
}
ATTACKS = {
    "fgsm": (FGSM(), {}),
    "pgd": (PGD(steps=6, restarts=2), {"batch_size": 16}),
    "apgd-t": (APGD(steps=8, loss="dlr"), {"targets": "every", "success": misclassified, "batch_size": 64}),
    "square": (Square(steps=25), {}),
    "random targets": (PGD(steps=3), {"targets": "random"}),
    "levels": (PGD(steps=3), {"levels": 255}),
    "smallest": (FMN(steps=5), {}),
    "fab": (FAB(iterations=3), {"targets": "second"}),
    "noise": (GaussianNoise(restarts=2), {}),
    "indices": (PGD(steps=3), {"indices": torch.arange(100, 140)}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_model_gets_the_result_of_a_run_of_its_own(attack: str) -> None:
    chosen, settings = ATTACKS[attack]
    requests = requests_of([perceptron(seed) for seed in range(3)], chosen, **settings)
    results = side_by_side([ask(request) for request in requests])
    for together, request in zip(results, requests, strict=True):
        assert_same(together, alone_of(request))


@pytest.mark.parametrize("kind", MODELS)
def test_any_models_go_side_by_side(kind: str, asked_together: list[int]) -> None:
    requests = requests_of([MODELS[kind](seed) for seed in range(3)], PGD(steps=5, restarts=2))
    results = side_by_side([ask(request) for request in requests])
    assert asked_together == [3]
    for together, request in zip(results, requests, strict=True):
        assert_same(together, alone_of(request))
    assert 0.1 < sum(result.robust_accuracy for result in results) / 3 < 0.9


def test_requests_of_different_kinds_are_answered_apart(asked_together: list[int]) -> None:
    models = [perceptron(seed) for seed in range(4)]
    kinds = [FGSM(), PGD(steps=3), FGSM(), PGD(steps=4)]
    requests = [requests_of(models, kind)[number] for number, kind in enumerate(kinds)]
    results = side_by_side([ask(request) for request in requests])
    assert sorted(asked_together) == [1, 1, 2]
    for together, request in zip(results, requests, strict=True):
        assert_same(together, alone_of(request))


def test_those_that_lag_behind_go_first_so_that_all_meet_again(asked_together: list[int]) -> None:
    first, second, third = (requests_of([perceptron(seed)], FGSM())[0] for seed in range(3))

    def through(request: Request, *places: int) -> Iterator[Request]:
        for place in places:
            yield Request(*(getattr(request, each.name) for each in fields(request)[:-1]), place=place)

    side_by_side([through(first, 0, 1, 2), through(second, 2), through(third, 1, 2)])
    assert asked_together == [1, 2, 3]


def test_pixels_in_flight_are_limited(asked_together: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIXELS", 2 * 40 * 64)
    requests = requests_of([perceptron(seed) for seed in range(5)], FGSM())
    results = side_by_side([ask(request) for request in requests])
    assert asked_together == [2, 2, 1]
    for together, request in zip(results, requests, strict=True):
        assert_same(together, alone_of(request))


def test_a_failure_leaves_the_others_alone() -> None:
    class Failing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise ValueError("this model fails")

    models = [perceptron(0), Failing(), perceptron(2)]
    images, (first, third) = digits([models[0], models[2]])
    clean = [models[0](images), models[0](images), models[2](images)]
    finished = []

    def asks(number: int, labels: Tensor) -> Iterator[Request]:
        for steps in (1, 2):
            attack, threat = PGD(steps=steps), Threat("linf", 0.08)
            yield Request(
                models[number], images, labels, threat, attack, number, clean_logits=clean[number].detach()
            )
        finished.append(number)

    with pytest.raises(ValueError, match="this model fails"):
        side_by_side([asks(0, first), asks(1, first), asks(2, third)])
    assert sorted(finished) == [0, 2]


def test_an_evaluation_may_catch_its_own_error() -> None:
    request = requests_of([perceptron(0)], FGSM())[0]

    def careful() -> Iterator[Request]:
        try:
            yield Request(request.model, request.images - 7, request.labels, request.threat, FGSM(), 0)
        except ValueError as error:
            return str(error)

    told, found = side_by_side([careful(), ask(request)])
    assert "[0, 1]" in str(told)
    assert_same(found, alone_of(request))


@pytest.mark.parametrize(
    ("epsilons", "dtype"), [([0.06], torch.float64), ([0.03, 0.08], torch.float32)], ids=["one", "two"]
)
def test_full_evaluations_reach_the_same_verdicts(
    epsilons: list[float], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BLACK_BOX", "BLACK_BOX_SAMPLE"):
        monkeypatch.setattr(cascade, name, AttackStage("square", Square(steps=30)))
    models = [perceptron(seed) for seed in range(3)]
    images, labels = digits(models, 24)
    models, images = [model.to(dtype) for model in models], images.to(dtype)
    curves = side_by_side(
        [
            robustness_evaluation(model, images, own, "linf", epsilons, seed=seed)
            for seed, (model, own) in enumerate(zip(models, labels, strict=True))
        ]
    )
    for seed, (curve, model, own) in enumerate(zip(curves, models, labels, strict=True)):
        single = evaluate_robustness(model, images, own, "linf", epsilons, seed=seed)
        budgets = torch.tensor(epsilons, dtype=dtype)
        held, held_alone = (each.smallest_found[:, None] > budgets for each in (curve, single))
        assert torch.equal(held, held_alone)
        assert torch.equal(curve.fooled_by, single.fooled_by)
        assert (curve.forward_count, curve.backward_count) == (single.forward_count, single.backward_count)
        assert (curve.doubts, curve.unfinished) == (single.doubts, single.unfinished)
        assert [check.fired for check in curve.checks] == [check.fired for check in single.checks]


def test_curves_reach_the_same_verdicts() -> None:
    models = [perceptron(seed).float() for seed in range(3)]
    images, labels = digits([model.double() for model in models])
    models, images = [model.float() for model in models], images.float()
    settings: Any = ("linf", [0.0, 0.05, 0.1], [FGSM(), FMN(steps=5), PGD(steps=10)])
    curves = side_by_side(
        [
            curve_evaluation(model, images, own, *settings, seed=7)
            for model, own in zip(models, labels, strict=True)
        ]
    )
    for curve, model, own in zip(curves, models, labels, strict=True):
        single = robust_accuracy_curve(model, images, own, *settings, seed=7)
        assert curve.robust_accuracies == single.robust_accuracies
        assert torch.equal(curve.fooled_by, single.fooled_by)
        assert (curve.forward_count, curve.backward_count) == (single.forward_count, single.backward_count)


def ask(request: Request) -> Iterator[Request]:
    return (yield request)


@pytest.fixture
def asked_together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each run answers."""
    sizes: list[int] = []

    def counted(requests: Any, packs: Any) -> Any:
        sizes.append(len(requests))
        return run_together(requests, packs)

    monkeypatch.setattr(module, "run_together", counted)
    return sizes


def test_an_evaluation_alone_is_driven_to_its_end() -> None:
    request = requests_of([perceptron(0)], FGSM())[0]
    assert_same(alone(ask(request)), alone_of(request))

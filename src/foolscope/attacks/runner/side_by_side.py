"""Evaluations of several models side by side: what they ask at the same time is answered in one run.

An evaluation is a generator that yields requests and is sent their results. It is written for one model; how
many of them go side by side is up to whoever drives them.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from foolscope.attacks.runner.packs import Packs
from foolscope.attacks.runner.request import Request
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.together import run_together
from foolscope.threats.prediction import automatic_batch_size

__all__ = ["Evaluation", "alone", "side_by_side"]

T = TypeVar("T")
Evaluation = Generator[Request, AttackResult, T]
"""Yields requests and returns what it has found."""

_PIXELS = 1 << 21  # pixels in flight: four times those of a model alone on a CPU
_MULTIPLICATIONS = 1 << 30  # of a pass: above, a step's other costs are small and activations are large


def alone(evaluation: Evaluation[T]) -> T:
    """Drive one evaluation to its end and return what it has found."""
    (result,) = side_by_side([evaluation])
    return result


def side_by_side(evaluations: Sequence[Evaluation[T]]) -> list[T]:
    """Drive evaluations to their ends, and answer requests that are alike in one run.

    Each finds what it finds alone, up to rounding. Where one fails, the others go on to their ends, and then
    its error is raised: the first one's, if several fail.

    Args:
        evaluations: of models whose images have one shape, for gain; any others are driven as well.

    Returns:
        What each has found, in the order given.
    """
    packs = Packs()
    waiting: dict[int, Request] = {}
    found: dict[int, T] = {}
    errors: dict[int, Exception] = {}

    def go_on(number: int, ask: Callable[[], Request]) -> None:
        try:
            waiting[number] = ask()
        except StopIteration as end:
            found[number] = end.value
        except Exception as error:
            errors[number] = error

    for number, evaluation in enumerate(evaluations):
        go_on(number, partial(next, evaluation))
    while waiting:
        chosen = _alike(waiting, packs)
        answers = _answers([waiting.pop(number) for number in chosen], packs)
        for number, answer in zip(chosen, answers, strict=True):
            evaluation = evaluations[number]
            if isinstance(answer, Exception):
                go_on(number, partial(evaluation.throw, answer))
            else:
                go_on(number, partial(evaluation.send, answer))
    if errors:
        raise errors[min(errors)]
    return [found[number] for number in range(len(evaluations))]


def _answers(requests: Sequence[Request], packs: Packs) -> list[AttackResult | Exception]:
    """Return a result for each request, or its error; where they fail together, each is run alone."""
    try:
        return [*run_together(requests, packs)]
    except Exception as error:
        if len(requests) == 1:
            return [error]
        return [answer for request in requests for answer in _answers([request], packs)]


def _alike(waiting: Mapping[int, Request], packs: Packs) -> list[int]:
    """Choose the requests to answer next: of those that lag behind, the first and all that fit beside it."""
    behind = min(request.place for request in waiting.values())
    first, *others = sorted(number for number, request in waiting.items() if request.place == behind)
    chosen = [first]
    if others and _may_share(waiting[first]):
        room = _Room(packs, waiting[first])
        chosen += [
            number
            for number in others
            if _share_a_run(waiting[first], waiting[number]) and room.takes(waiting[number])
        ]
    return chosen


class _Room:
    """What is left for one run, in pixels and in multiplications of a pass."""

    def __init__(self, packs: Packs, first: Request) -> None:
        self._packs = packs
        self._pixels = self._multiplications = 0.0
        self._add(*self._load(first))

    def takes(self, request: Request) -> bool:
        """Add a request if it fits."""
        pixels, multiplications = self._load(request)
        fits = (
            self._pixels + pixels <= _PIXELS and self._multiplications + multiplications <= _MULTIPLICATIONS
        )
        if fits:
            self._add(pixels, multiplications)
        return fits

    def _add(self, pixels: float, multiplications: float) -> None:
        self._pixels += pixels
        self._multiplications += multiplications

    def _load(self, request: Request) -> tuple[float, float]:
        targets = request.targets
        width = targets.shape[1] if not isinstance(targets, str) and targets is not None else 1
        items = len(request.labels) * request.attack.restarts * width
        rows = min(request.batch_size or automatic_batch_size(request.images, request.model), items)
        image = request.images[:1]
        return rows * image.numel(), rows * self._packs.multiplications(request.model, image)


def _may_share(request: Request) -> bool:
    return len(request.labels) > 0 and not request.trace and request.progress is None


def _share_a_run(one: Request, other: Request) -> bool:
    return _may_share(other) and _kind(one) == _kind(other)


def _kind(request: Request) -> tuple[object, ...]:
    """Return what requests must agree in to be answered in one run."""
    targets, images, logits = request.targets, request.images, request.clean_logits
    return (
        request.attack,
        request.threat,
        request.success,
        request.levels,
        request.deadline,
        targets if isinstance(targets, str | None) else tuple(targets.shape[1:]),
        request.stepping_model is None,
        (images.shape[1:], images.dtype, images.device),
        None if logits is None else logits.shape[1:],
    )

"""What an attack is asked to do: one model, its images, and the attack with its settings."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int64, Num
from torch import Tensor, nn

from foolscope.attacks.runner.attack import Attack
from foolscope.attacks.runner.best_so_far import Success
from foolscope.threats.threat import Threat

__all__ = ["Request", "Targets"]

Targets = str | Int64[Tensor, "images ..."]


@dataclass(frozen=True, eq=False)
class Request:
    """One run of one attack on one model; the fields are the arguments of :func:`foolscope.attacks.run`.

    Args:
        place: where in its evaluation the request comes; of evaluations that run side by side, those that
            lag behind go first.
    """

    model: nn.Module
    images: Num[Tensor, "batch channel height width"]
    labels: Int64[Tensor, " batch"]
    threat: Threat
    attack: Attack
    seed: int
    targets: Targets | None = None
    success: Success | None = None
    indices: Int64[Tensor, " batch"] | None = None
    clean_logits: Float[Tensor, "batch classes"] | None = None
    epsilons: Float[Tensor, " batch"] | None = None
    batch_size: int | None = None
    stepping_model: nn.Module | None = None
    levels: int | None = None
    trace: bool = False
    deadline: float | None = None
    progress: Callable[[int, int], None] | None = None
    place: int = 0

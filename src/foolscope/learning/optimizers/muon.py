"""Muon: momentum whose matrices are orthogonalized, with a companion for whatever is no hidden matrix."""

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from foolscope.learning.optimizers.adam import adam_init, adam_update
from foolscope.learning.optimizers.optimizer import (
    OptimizerSettings,
    OptimizerState,
    PackTensors,
    PerTrial,
    Shapes,
    along_trials,
)
from foolscope.learning.optimizers.sgd import sgd_init, sgd_update

__all__ = ["Muon", "muon_init", "muon_matrices", "muon_rates", "muon_update", "orthogonalized"]

_COEFFICIENTS = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_SMALLEST_NORM = 1e-7
_OBLONG = 2  # columns per row from which products of small matrices are faster


class Muon(OptimizerSettings):
    """Momentum, orthogonalized by Newton-Schulz iterations, for matrices; SGD or AdamW for the rest.

    m ← μ m + (1 − μ) g; W ← W − η s O(g + μ (m − g)), where O(M) is about U Vᵀ of M = U S Vᵀ and s is 1 for
    square matrices (see ``scaling``). The filters of a convolution are a matrix (out, rest). Biases,
    normalization layers and, as the authors advise, the output layer are left to the companion. Jordan et
    al. 2024, *Muon: an optimizer for hidden layers in neural networks*, kellerjordan.github.io/posts/muon;
    scaling "match-rms-adamw": Liu et al. 2025, arXiv:2502.16982, section 2.2. ``rescale`` is for layers that
    normalization follows: Jordan's airbench94 (github.com/KellerJordan/cifar10-airbench) does so.
    """

    name: Literal["muon"] = "muon"
    learning_rate: float = Field(
        0.02, gt=0.0, description="step length; the schedule multiplies or replaces it"
    )
    momentum: float = Field(0.95, ge=0.0, lt=1.0, description="fraction of the previous step that is kept")
    nesterov: bool = Field(True, description="look ahead along the momentum")
    scaling: Literal["original", "match-rms-adamw"] = Field(
        "original",
        description="factor on the step of an (out, in) matrix: original is √max(1, out/in), match-rms-adamw "
        "0.2·√max(out, in), with which AdamW's learning rates fit",
    )
    matrices: Literal["all-but-output", "hidden", "all"] = Field(
        "all-but-output",
        description="whose weights Muon updates: all-but-output, hidden (neither the first nor the last), or "
        "all; the last in the order of the parameters is the output layer",
    )
    rescale: bool = Field(
        False,
        description="before its step, bring every matrix to a root mean square of 1/√in, the norm √out",
    )
    companion: Literal["adamw", "sgd"] = Field(
        "adamw", description="what updates the other parameters: adamw or sgd"
    )
    companion_learning_rate: float = Field(
        1e-3, gt=0.0, description="step length of the companion; the schedule changes it as it does Muon's"
    )
    companion_momentum: float = Field(
        0.9, ge=0.0, lt=1.0, description="fraction of the previous step that the companion sgd keeps"
    )
    beta1: float = Field(0.9, ge=0.0, lt=1.0, description="decay of the companion adamw's mean gradient")
    beta2: float = Field(
        0.95, ge=0.0, lt=1.0, description="decay of the companion adamw's mean squared gradient"
    )
    stability: float = Field(
        1e-8, gt=0.0, description="added to the root of the companion adamw's mean squared gradient"
    )


_LAYERS = ("all-but-output", "hidden", "all")  # in the order of the settings' choices


def muon_matrices(shapes: Shapes, layers: str) -> list[str]:
    """Name the parameters of a model that Muon updates, given their shapes in order.

    Example:
        >>> shapes = {name: value.shape for name, value in torch.nn.Bilinear(2, 3, 4).named_parameters()}
        >>> muon_matrices(shapes, "all"), muon_matrices(shapes, "all-but-output")
        (['weight'], [])
    """
    matrices = [name for name, shape in shapes.items() if len(shape) > 1]
    return matrices[1 if layers == "hidden" else 0 : None if layers == "all" else -1]


def muon_rates(settings: Muon, shapes: Shapes) -> dict[str, float]:
    """Return the companion's learning rate as a factor on Muon's, for each parameter that it updates."""
    own = muon_matrices(shapes, settings.matrices)
    return {
        name: settings.companion_learning_rate / settings.learning_rate for name in shapes if name not in own
    }


def muon_init(parameters: PackTensors, hyper: PerTrial) -> OptimizerState:
    """Return the momenta of Muon's matrices and the companion's state of the other parameters."""
    layers = _LAYERS[int(hyper["matrices"][0])]
    own = muon_matrices({name: value.shape[1:] for name, value in parameters.items()}, layers)
    rest = {name: value for name, value in parameters.items() if name not in own}
    companion = (
        sgd_init(rest, {"momentum": hyper["companion_momentum"]})
        if hyper["companion"].any()
        else adam_init(rest, hyper)
    )
    return {"momentum": {name: torch.zeros_like(parameters[name]) for name in own}, **companion}


def muon_update(
    parameters: PackTensors, gradients: PackTensors, state: OptimizerState, hyper: PerTrial, step: int
) -> None:
    """Take one step in place; the learning rate is that of these parameters, whoever updates them."""
    momentum, nesterov, descent = hyper["momentum"], hyper.get("nesterov"), -hyper["learning_rate"]
    for name, mean in state["momentum"].items():
        gradient = gradients[name]
        mean.lerp_(gradient, along_trials(1.0 - momentum, mean).expand_as(mean))
        direction = mean
        if nesterov is not None:
            look_ahead = torch.lerp(gradient, mean, along_trials(momentum, mean).expand_as(mean))
            direction = torch.where(along_trials(nesterov, mean) > 0, look_ahead, mean)
        matrices = direction.flatten(2)
        if "rescale" in hyper:
            _rescale(parameters[name], hyper["rescale"])
        scale = descent * _scale(matrices.shape[1], matrices.shape[2], hyper["scaling"])
        step_of = orthogonalized(matrices).view_as(mean)
        parameters[name].addcmul_(step_of, along_trials(scale, mean))
    rest = {name: value for name, value in parameters.items() if name not in state["momentum"]}
    if "mean_square" in state:
        adam_update(rest, gradients, state, hyper, step)
    else:
        plain = {"learning_rate": hyper["learning_rate"], "momentum": hyper["companion_momentum"]}
        sgd_update(rest, gradients, state, plain, step)


def _rescale(matrices: Float[Tensor, "trial rows ..."], chosen: Float[Tensor, " trial"]) -> None:
    """Bring the matrix of every chosen trial to the norm √rows, in place; zero stays zero."""
    norms = torch.linalg.vector_norm(matrices.flatten(1), dim=1).clamp_min(_SMALLEST_NORM)
    factors = torch.where(chosen > 0, matrices.shape[1] ** 0.5 / norms, torch.ones_like(norms))
    matrices.mul_(along_trials(factors, matrices))


def _scale(outputs: int, inputs: int, scaling: Float[Tensor, " trial"]) -> Float[Tensor, " trial"]:
    """Return the factor on the step of every trial, whose choice of scaling is 0 or 1."""
    original, matched = max(1.0, outputs / inputs) ** 0.5, 0.2 * max(outputs, inputs) ** 0.5
    return torch.lerp(torch.full_like(scaling, original), torch.full_like(scaling, matched), scaling)


def orthogonalized(matrices: Float[Tensor, "trial rows columns"]) -> Float[Tensor, "trial rows columns"]:
    r"""Return about :math:`U V^T` of every matrix :math:`U S V^T`, by five Newton-Schulz iterations.

    .. math:: X \leftarrow a X + (b A + c A^2) X, \quad A = X X^T, \quad X_0 = M / \|M\|_F

    with a, b, c = 3.4445, −4.7750, 2.0315, which bring singular values near 1 and no closer than 0.7 to 1.2.
    They run in the data type of the matrices; the authors and PyTorch take bfloat16. In float32 the
    result is within 0.001 of that in float64.

    References:
        Jordan et al. 2024, *Muon*, section "Definition" and "Tuning the coefficients".
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if is_tall else matrices
    norms = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    start = wide / norms.clamp_min(_SMALLEST_NORM)
    iterate = _iterate_products if wide.shape[2] > _OBLONG * wide.shape[1] else _iterate
    result = iterate(start)
    return result.mT if is_tall else result


def _iterate(result: Float[Tensor, "trial rows columns"]) -> Float[Tensor, "trial rows columns"]:
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = torch.bmm(result, result.mT)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        result = torch.baddbmm(result, polynomial, result, beta=a)
    return result


def _iterate_products(start: Float[Tensor, "trial rows columns"]) -> Float[Tensor, "trial rows columns"]:
    """Iterate on small square matrices: with P = a I + b A + c A², the next X is P X and the next A is P A P.

    The columns are met twice instead of ten times, which pays for matrices much wider than high.
    """
    a, b, c = _COEFFICIENTS
    gram = torch.bmm(start, start.mT)
    unit = torch.eye(len(gram[0]), dtype=gram.dtype, device=gram.device).expand_as(gram)
    product = unit
    for _ in range(_ITERATIONS):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c).add_(unit, alpha=a)
        product = torch.bmm(polynomial, product)
        gram = torch.bmm(torch.bmm(polynomial, gram), polynomial)
    return torch.bmm(product, start)

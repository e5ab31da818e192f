"""Low-rank factorization, min ‖X − AB‖²: closed form, gradient descent, and other minimizers."""

import itertools
from typing import Literal

import numpy as np
import pydantic
from jaxtyping import Float
from pydantic import Field

from foolscope.core.randomness import numpy_generator
from foolscope.experiments.parts.demonstrations.descent import log_spaced
from foolscope.experiments.parts.demonstrations.kind import (
    Demonstration,
    DemonstrationSettings,
    Outcome,
)

__all__ = ["LOW_RANK", "LowRank", "best_factors", "gradients", "hessian_at_origin", "sample"]

Matrix = Float[np.ndarray, "row column"]
Left = Float[np.ndarray, "row rank"]
Right = Float[np.ndarray, "rank column"]

_HOPELESS = 1e6  # times the first loss: beyond it a descent has diverged and is stopped


class LowRank(DemonstrationSettings):
    """A matrix X approximated by a product of two thin matrices, A (m × r) and B (r × n)."""

    kind: Literal["low-rank"] = "low-rank"
    rows: int = Field(12, ge=2, le=100)
    columns: int = Field(8, ge=2, le=100)
    rank: int = Field(2, ge=1, description="r, less than rows and columns")
    decay: float = Field(
        0.7, gt=0, lt=1, description="ratio of a singular value of X to the one before; the first is 1"
    )
    starts: int = Field(4, ge=2, le=8, description="random starts of the gradient descent")
    learning_rate: float = Field(0.1, gt=0)
    steps: int = Field(3000, ge=1, le=100_000)

    @pydantic.model_validator(mode="after")
    def _rank_is_low(self) -> "LowRank":
        most = min(self.rows, self.columns) - 1
        if self.rank > most:
            raise ValueError(f"rank must be at most {most} for {self.rows} × {self.columns}; got {self.rank}")
        return self


def sample(settings: LowRank, seed: int) -> Matrix:
    """Draw X = U diag(1, q, q², …) Vᵀ with random orthonormal U and V."""
    chance = numpy_generator(seed, "demonstration", "low-rank")
    count = min(settings.rows, settings.columns)
    left = np.linalg.qr(chance.normal(size=(settings.rows, count)))[0]
    right = np.linalg.qr(chance.normal(size=(settings.columns, count)))[0]
    matrix: Matrix = (left * settings.decay ** np.arange(count)) @ right.T
    return matrix


def objective(x: Matrix, a: Left, b: Right) -> float:
    """Return f(A, B) = ‖X − AB‖², the sum of the squared entries."""
    return float(np.square(x - a @ b).sum())


def gradients(x: Matrix, a: Left, b: Right) -> tuple[Left, Right]:
    """Return ∂f/∂A = 2 (AB − X) Bᵀ and ∂f/∂B = 2 Aᵀ (AB − X).

    Derivation: with R = AB − X, f = Σ R², and A_ik acts on R_ij with slope B_kj for every j.
    """
    residual = a @ b - x
    return 2 * residual @ b.T, 2 * a.T @ residual


def best_factors(x: Matrix, rank: int) -> tuple[Left, Right]:
    """Return A = U_r and B = Σ_r V_rᵀ from the singular value decomposition.

    Eckart and Young (1936), Psychometrika 1, 211-218: no matrix of rank r is nearer to X, and
    ‖X − AB‖² = Σ_{i>r} σ_i².

    Example:
        >>> a, b = best_factors(np.diag([3.0, 2.0, 1.0]), rank=1)
        >>> objective(np.diag([3.0, 2.0, 1.0]), a, b)
        5.0
    """
    left, values, right = np.linalg.svd(x, full_matrices=False)
    return left[:, :rank], values[:rank, None] * right[:rank]


def hessian_at_origin(x: Matrix, rank: int) -> Float[np.ndarray, "number number"]:
    """Return the Hessian of f at A = 0, B = 0, over A's entries, then B's.

    There ∂f/∂A = 2 (AB − X) Bᵀ has the derivative −2 X dBᵀ, all else being of second order, and ∂f/∂B has
    −2 dAᵀ X. With one rank it is −2 [[0, X], [Xᵀ, 0]], whose eigenvalues are ±2 σ_i: indefinite.
    """
    rows, columns = x.shape
    count, size = rows * rank, (rows + columns) * rank
    hessian = np.zeros((size, size))
    for position, direction in enumerate(np.eye(size)):
        da, db = direction[:count].reshape(rows, rank), direction[count:].reshape(rank, columns)
        hessian[:, position] = np.concatenate([(-2 * x @ db.T).ravel(), (-2 * da.T @ x).ravel()])
    return hessian


def _measures(settings: LowRank) -> dict[str, str]:
    return {
        "best_value": "least value by Eckart and Young, the sum of the squared singular values beyond rank r",
        "closed_form_error": "relative difference of ‖X − AB‖² from it, with A and B in closed form",
        "descent_excess": "relative excess of gradient descent, the worst of its starts",
        "product_difference": "largest relative difference of AB between starts",
        "factor_difference": "smallest relative difference of A between starts",
        "factor_residual": "largest relative residual of one start's A against another's times a matrix H",
        "invariance_error": "relative change of ‖X − AB‖² under AH, H⁻¹B, H random",
        "least_curvature": "smallest eigenvalue of the Hessian at the origin",
        "largest_curvature": "largest eigenvalue of the Hessian at the origin",
    }


def _run(settings: LowRank, seed: int) -> Outcome:
    x = sample(settings, seed)
    a, b = best_factors(x, settings.rank)
    left_out = np.linalg.svd(x, compute_uv=False)[settings.rank :]
    best = float(np.square(left_out).sum())
    runs = [_descend(x, settings, seed, start) for start in range(settings.starts)]
    ends = [(own_a, own_b) for own_a, own_b, _ in runs]
    chance = numpy_generator(seed, "demonstration", "low-rank", "invariance")
    h = chance.normal(size=(settings.rank, settings.rank))
    moved = objective(x, a @ h, np.linalg.solve(h, b))
    eigenvalues = np.linalg.eigvalsh(hessian_at_origin(x, settings.rank))
    pairs = list(itertools.permutations(ends, 2))
    measures = {
        "best_value": best,
        "closed_form_error": abs(objective(x, a, b) - best) / best,
        "descent_excess": max(losses[-1] for _, _, losses in runs) / best - 1,
        "product_difference": max(_apart(one[0] @ one[1], other[0] @ other[1]) for one, other in pairs),
        "factor_difference": min(_apart(one[0], other[0]) for one, other in pairs),
        "factor_residual": max(
            _apart(one[0] @ np.linalg.lstsq(one[0], other[0], rcond=None)[0], other[0])
            for one, other in pairs
        ),
        "invariance_error": abs(moved - best) / best,
        "least_curvature": float(eigenvalues[0]),
        "largest_curvature": float(eigenvalues[-1]),
    }
    shown = log_spaced(settings.steps + 1)
    data = {
        "best_value": best,
        "steps": shown.tolist(),
        "losses": [losses[shown].tolist() for _, _, losses in runs],
    }
    return Outcome(measures, data)


def _descend(
    x: Matrix, settings: LowRank, seed: int, start: int
) -> tuple[Left, Right, Float[np.ndarray, " moment"]]:
    """Run gradient descent from a random start; return the factors and the loss at every step."""
    chance = numpy_generator(seed, "demonstration", "low-rank", "start", start)
    a = 0.3 * chance.normal(size=(settings.rows, settings.rank))
    b = 0.3 * chance.normal(size=(settings.rank, settings.columns))
    losses = [objective(x, a, b)]
    for _ in range(settings.steps):
        by_a, by_b = gradients(x, a, b)
        a, b = a - settings.learning_rate * by_a, b - settings.learning_rate * by_b
        losses.append(objective(x, a, b))
        if losses[-1] > _HOPELESS * losses[0]:
            losses += [losses[-1]] * (settings.steps + 1 - len(losses))
            break
    return a, b, np.array(losses)


def _apart(one: Matrix, other: Matrix) -> float:
    """Return ‖M − N‖ / ‖N‖."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


LOW_RANK = Demonstration(LowRank, _measures, _run)

"""The pieces of a construction, as networks whose weights are stated, not trained: step, bump, tower.

They map points (batch, 1), of a tower (batch, 2), to (batch, 1), in float64.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["bump", "step", "steps", "tower", "with_weights"]


def with_weights(
    weight: Float[Tensor, "outputs inputs"], bias: Float[Tensor, " outputs"], dtype: torch.dtype
) -> nn.Linear:
    """Return an affine layer with these weights, without drawing random ones first."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, device="meta", dtype=dtype).to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def steps(
    locations: Float[Tensor, " steps"], steepness: float, dtype: torch.dtype = torch.float64
) -> nn.Linear:
    """Return the affine layer of ascending steps: after a sigmoid, σ(w (x − location)) for each location."""
    weight = torch.full((len(locations), 1), float(steepness), dtype=torch.float64)
    return with_weights(weight, -steepness * locations, dtype)


def step(location: float, steepness: float, height: float = 1.0) -> nn.Sequential:
    """Return one sigmoid unit as a step: height · σ(w x + b) with b = −w · location.

    A step lies at −b/w, is as steep as w and as high as its output weight. At a distance d from its location
    it differs from the ideal step by height · σ(−|w| d) < height · exp(−|w| d).

    Args:
        location: where it is at half of its height.
        steepness: w; descending where it is negative.
        height: the output weight.

    Example:
        >>> points = torch.tensor([[0.0], [0.5], [1.0]], dtype=torch.float64)
        >>> [round(value, 6) for value in step(0.5, 100.0, height=3.0)(points).flatten().tolist()]
        [0.0, 1.5, 3.0]
    """
    hidden = steps(_vector(location), steepness)
    return nn.Sequential(hidden, nn.Sigmoid(), with_weights(_vector(height)[None], _vector(0.0), _FLOAT))


def bump(start: float, end: float, steepness: float, height: float = 1.0) -> nn.Sequential:
    """Return two sigmoid units as a bump: height · (σ(w (x − start)) + σ(−w (x − end)) − 1).

    Its neighbors add up with it to a plateau without seam: σ(−z) = 1 − σ(z), so what one bump loses at its
    end, the next one gains at its start. That is the partition of unity which :func:`approximate` rests on.

    Args:
        start: where it is at half of its height on its way up.
        end: where it is at half of its height on its way down; beyond ``start``.
        steepness: w > 0; much more than 1 / (end − start), or the bump does not reach its height.
        height: the output weights.

    Example:
        The published one, σ(500 x − 200) + σ(−500 x + 300) − 1:

        >>> bump(0.4, 0.6, 500.0)(torch.tensor([[0.3], [0.4], [0.5]], dtype=torch.float64)).flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    hidden = with_weights(
        _vector(steepness, -steepness)[:, None], _vector(-steepness * start, steepness * end), _FLOAT
    )
    return nn.Sequential(
        hidden, nn.Sigmoid(), with_weights(_vector(height, height)[None], _vector(-height), _FLOAT)
    )


def tower(
    across: tuple[float, float],
    up: tuple[float, float],
    steepness: float,
    output_steepness: float = 40.0,
    height: float = 1.0,
) -> nn.Sequential:
    """Return four hidden units and one output unit as a tower over a rectangle.

    Two steps bound it in each direction, S = Σ of their four sigmoids, and the output unit is a threshold
    between three and four of them: height · σ(v (S − 3.5)).

    What is lost: at a distance of at least m from the sides, the tower is inside at least
    height · σ(v (½ − 4 exp(−w m))), for each of the four is at least 1 − exp(−w m); outside at most
    height · σ(−v (½ − exp(−w m))), for one of the four is at most exp(−w m). Nearer to the sides it may be
    anything between. In particular two neighbors have ½ each on a common side, but four have
    σ(−v / 2) ≈ 0 each at a common corner: towers side by side leave holes there, however steep they are.
    :func:`approximate` therefore builds its towers from corner units.

    Args:
        across: start and end in the first coordinate.
        up: start and end in the second coordinate.
        steepness: w > 0 of the four hidden units.
        output_steepness: v > 0 of the output unit.
        height: what the output unit is multiplied by.

    Example:
        >>> points = torch.tensor([[0.5, 0.5], [0.5, 0.9], [0.4, 0.5]], dtype=torch.float64)
        >>> [round(value, 6) for value in tower((0.4, 0.6), (0.3, 0.7), 500.0)(points).flatten().tolist()]
        [1.0, 0.0, 0.5]
    """
    weight = steepness * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=_FLOAT)
    bias = steepness * _vector(-across[0], across[1], -up[0], up[1])
    return nn.Sequential(
        with_weights(weight, bias, _FLOAT),
        nn.Sigmoid(),
        with_weights(
            output_steepness * torch.ones(1, 4, dtype=_FLOAT), _vector(-3.5 * output_steepness), _FLOAT
        ),
        nn.Sigmoid(),
        with_weights(_vector(height)[None], _vector(0.0), _FLOAT),
    )


_FLOAT = torch.float64


def _vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=_FLOAT)

"""The protocol of an attack: settings, a start and a step; everything else belongs to the runner."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.errors import ThreatError

__all__ = ["Attack", "State", "check_norm"]

State = dict[str, Tensor]
"""Tensors with one row per work item; ``"inputs"`` is the candidate that is checked at the end."""


@runtime_checkable
class Attack(Protocol):
    """A search for an image that fools, within what the threat allows.

    The runner calls ``start`` once for each work item and ``step`` as often as ``steps`` says, each time with
    all rows that are in the batch, whatever step each of them is at. Every image that a step passes to the
    oracle is checked for success, so an attack never does so itself; the last candidate is checked after the
    last step.
    """

    @property
    def name(self) -> str:
        """The attack's name in the table, in study files and in its random numbers."""

    @property
    def norms(self) -> tuple[str, ...]:
        """The names of the norms that it supports; the runner refuses the others."""

    @property
    def steps(self) -> int:
        """The largest number of steps of a work item; 0 for an attack that only starts."""

    @property
    def restarts(self) -> int:
        """How many times an image that is not fooled is attacked from a new start."""

    @property
    def stops_at_success(self) -> bool:
        """Whether a fooled image is done; if not, the smallest perturbation that is found is kept."""

    def start(self, problem: Problem, noise: Noise) -> State:
        """Return the state before the first step."""

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Return the state after one more step; the given state is not changed."""


def check_norm(attack: Attack, norm: str) -> None:
    """Refuse a norm that an attack does not support.

    Raises:
        ThreatError: with the norms that it supports.
    """
    if norm not in attack.norms:
        raise ThreatError(
            f"attack {attack.name} works in {', '.join(attack.norms)}; got norm {norm!r}. "
            "Choose one of these norms or another attack"
        )

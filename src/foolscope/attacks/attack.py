"""What an attack is: settings, a start and a step; everything else belongs to the runner."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from foolscope.attacks.oracle import Oracle
from foolscope.attacks.problem import Problem
from foolscope.attacks.randomness import Noise
from foolscope.core.errors import ThreatError

__all__ = ["Attack", "State", "check_norm"]

State = dict[str, Tensor]
"""Tensors with one row per work item; ``"inputs"`` is the candidate that is checked at the end."""


@runtime_checkable
class Attack(Protocol):
    """A way to search a threat's set for an image that fools.

    The runner calls ``start`` once for a work item and ``step`` ``steps`` times, each time with whatever rows
    happen to be in the batch, at whatever step each of them is. Every image that a step shows to the oracle
    is checked for success, so an attack never looks for success itself; the last candidate is checked after
    the last step.
    """

    @property
    def name(self) -> str:
        """How the table, a study file and the random numbers call the attack."""
        ...

    @property
    def norms(self) -> tuple[str, ...]:
        """The names of the norms it can search in; the runner refuses the others."""
        ...

    @property
    def steps(self) -> int:
        """How many steps a work item takes at most; 0 for an attack that only starts."""
        ...

    @property
    def restarts(self) -> int:
        """How many times an image that holds is attacked afresh."""
        ...

    @property
    def stops_at_success(self) -> bool:
        """Whether a fooled image is done; if not, the smallest perturbation found wins."""
        ...

    def start(self, problem: Problem, noise: Noise) -> State:
        """Return the state before the first step."""
        ...

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Return the state after one more step; never changes the state it was given."""
        ...


def check_norm(attack: Attack, norm: str) -> None:
    """Refuse a norm that an attack cannot search in.

    Raises:
        ThreatError: names the norms that it can.
    """
    if norm not in attack.norms:
        raise ThreatError(
            f"attack {attack.name} works in {', '.join(attack.norms)}; got norm {norm!r}. "
            "Choose one of these or another attack"
        )

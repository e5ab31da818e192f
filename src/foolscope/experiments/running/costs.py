"""What training steps cost: seconds of one core, estimated from shapes so that a plan is the same every time.

A plan that measured would depend on what else the machine does at that moment, and with the plan the rounding
of the results.
"""

from typing import Literal

from foolscope.core.threads import thread_count, worthwhile_threads

__all__ = ["START_SECONDS", "slowdown", "speedup", "step_seconds"]

START_SECONDS = 4.0
"""Seconds until a worker process has imported torch and read its data."""

# Of one core of an AMD EPYC with AVX-512, and of two; from A3's perceptron, softmax on CIFAR-10, a perceptron
# of 32 units for digits and the convnet. benchmarks/ablation.py --arrangements reports on others, too.
_STEP_SECONDS = 0.5e-3  # of a step without arithmetic: Python and the calls of operations
_MINIBATCH_BYTES = 2.3e9  # of a minibatch in float32 that a core gathers and converts in a second
_FLOPS = {"float32": 100e9, "bfloat16": 180e9, "float64": 40e9}  # of products that a core makes in a second
_FURTHER_THREAD = 0.5  # what each thread beyond the first adds to the speed of the first
_BESIDE_OTHERS = 0.92  # of its speed alone that a core has beside others: they share memory and cache


def step_seconds(
    flops: float, minibatch_bytes: float, precision: Literal["float32", "bfloat16", "float64"]
) -> float:
    """Estimate the seconds that one thread takes for a training step of a pack.

    Args:
        flops: floating-point operations of all trials.
        minibatch_bytes: of the images of all seeds in float32; trials of one seed share theirs.
        precision: of the products.
    """
    return _STEP_SECONDS + minibatch_bytes / _MINIBATCH_BYTES + flops / _FLOPS[precision]


def speedup(step_flops: float, threads: int) -> float:
    """Estimate how many times as fast a training step is on a number of threads as on one."""
    with thread_count(threads):
        used = worthwhile_threads(step_flops)
    return 1.0 + _FURTHER_THREAD * (used - 1)


def slowdown(workers: int) -> float:
    """Estimate how many times as long a step takes beside those of other worker processes as alone."""
    return 1.0 if workers == 1 else 1.0 / _BESIDE_OTHERS

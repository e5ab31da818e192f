"""The command ``foolscope ablate`` from its start to its end, beside whole programs of the tuned loop.

All train the same trials with the same epochs, evaluate the validation set after every epoch, test the best
checkpoint, and start with nothing but the data on disk: imports and reading the data are part of the time.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ablation_ways.tuned import Tuning, tunings
from ablation_ways.way import CORES
from ablation_ways.whole_loop import LoopOrder
from ablation_ways.work import WORKS, Work, dataset_of

__all__ = ["CASES", "Case", "Cost", "Program", "as_json", "programs_of", "run_case", "table"]

_LOOP = Path(__file__).with_name("whole_loop.py")


@dataclass(frozen=True)
class Case:
    """An ablation as a person would type it.

    Args:
        work: the name of its work.
        field: what is varied.
        values: of the field.
        seeds: how many.
        epochs: of every trial, few enough for a round of a program to take ten to twenty seconds.
    """

    work: str
    field: str
    values: tuple[float, ...]
    seeds: int
    epochs: int

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The values of every trial, ordered by seed."""
        return [
            {self.field: value, "seed": seed, "epochs": self.epochs}
            for seed in range(self.seeds)
            for value in self.values
        ]

    @property
    def trial_steps(self) -> int:
        """Gradient steps of all trials; the last minibatch of an epoch may be smaller."""
        base = WORKS[self.work].base
        per_epoch = -(-len(dataset_of(base.dataset).train) // base.training.batch_size)
        return len(self.trials) * self.epochs * per_epoch


CASES: dict[str, Case] = {
    case.work: case
    for case in (
        Case("a3", "learning_rate", (0.01, 0.02, 0.05, 0.1), seeds=5, epochs=3),
        Case("c2", "l2", (0.0, 1e-5, 1e-4, 1e-3), seeds=3, epochs=1),
        Case("digits-64", "learning_rate", (0.05, 0.1, 0.2, 0.5), seeds=5, epochs=30),
    )
}


@dataclass(frozen=True)
class Cost:
    """What one run of a program took.

    Args:
        seconds: from its start to the end of its last process.
        core_seconds: of processor time, its own and the system's, in all its processes.
        peak_bytes: the largest resident memory of the processes that were started, summed; of a process
            and those that it starts itself, the largest alone counts.
        test_accuracy: mean over the trials, which shows that the same work was done.
    """

    seconds: float
    core_seconds: float
    peak_bytes: int
    test_accuracy: float


@dataclass(frozen=True, eq=False)
class Program:
    """A way to run a case from nothing to its test accuracies."""

    name: str
    run: Callable[[Case, Path], Cost]
    costs: list[Cost] = field(default_factory=list)

    @cached_property
    def median_seconds(self) -> float:
        """The median of the rounds."""
        return statistics.median(cost.seconds for cost in self.costs)


def programs_of(case: Case, *, threads: bool = True) -> list[Program]:
    """Return the command and every arrangement of the tuned loop that may be its best.

    Args:
        case: which.
        threads: whether the loop is tried on two threads, too, which takes minutes on a busy machine.
    """
    rows = [Program("foolscope ablate", _run_command)]
    arrangements = {f"{CORES} processes": (CORES, 1)}
    if threads and CORES > 1:
        arrangements[f"{CORES} threads"] = (1, CORES)
    for precision in ("float32", "bfloat16"):
        tuning = _quickest(WORKS[case.work], precision)
        for name, (processes, own) in arrangements.items():
            run = partial(_run_loop, processes=processes, threads=own, tuning=tuning)
            rows.append(Program(f"(b) tuned, {precision}, {name}", run))
    return rows


def _quickest(work: Work, precision: str) -> Tuning:
    """Return the tuning that was fastest for every work: normalized images, fused SGD, channels last."""
    found = [
        each
        for each in tunings(work)
        if (each.precision, each.pixels, each.optimizer) == (precision, "normalized", "fused")
    ]
    return found[-1]


def run_case(case: Case, programs: Sequence[Program], rounds: int, tell: Callable[[str], None]) -> None:
    """Run every program once to warm the machine's file cache, then in turn for some rounds."""
    for number in range(rounds + 1):
        tell(f"{case.work}: round {number} of {rounds}" if number else f"{case.work}: warm-up")
        for program in programs:
            with tempfile.TemporaryDirectory() as folder:
                cost = program.run(case, Path(folder))
            if number:
                program.costs.append(cost)


def _run_command(case: Case, folder: Path) -> Cost:
    import tomli_w

    base = WORKS[case.work].base.model_dump(mode="json", exclude_none=True)
    base["training"]["epochs"] = case.epochs
    recipe = folder / "recipe.toml"
    recipe.write_text(tomli_w.dumps({**base, "precision": "auto"}), encoding="utf-8")
    store = folder / "store"
    values = ",".join(map(str, case.values))
    arguments = ["ablate", "--recipe", recipe, "--vary", f"{case.field}={values}", "--seeds", case.seeds]
    command = [sys.executable, "-m", "foolscope", *map(str, arguments), "--store", str(store)]
    seconds, core_seconds, peak = _timed([command], CORES)
    found = [
        json.loads(path.read_text(encoding="utf-8"))["outcome"]["metrics"]["test_accuracy"]
        for path in store.glob("trials/*/trial.json")
    ]
    if len(found) != len(case.trials):  # the baseline must be one of the values
        raise RuntimeError(f"the command has trained {len(found)} trials instead of {len(case.trials)}")
    return Cost(seconds, core_seconds, peak, statistics.mean(found))


def _run_loop(case: Case, folder: Path, *, processes: int, threads: int, tuning: Tuning) -> Cost:
    commands, answers = [], []
    for process in range(processes):
        answers.append(folder / f"answer-{process}.json")
        order = LoopOrder(case.work, case.trials[process::processes], threads, tuning, str(answers[-1]))
        order.write(folder / f"order-{process}.json")
        commands.append([sys.executable, str(_LOOP), str(folder / f"order-{process}.json")])
    seconds, core_seconds, peak = _timed(commands, threads)
    found = [value for answer in answers for value in json.loads(answer.read_text(encoding="utf-8"))]
    return Cost(seconds, core_seconds, peak, statistics.mean(found))


def _timed(commands: Sequence[Sequence[str]], threads: int) -> tuple[float, float, int]:
    """Run commands side by side; return seconds, processor seconds and bytes of memory.

    Raises:
        RuntimeError: one failed; its last line says why.
    """
    begin = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as output:
        started = [
            subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
            for command in commands
        ]
        core_seconds, peak = 0.0, 0
        for process in started:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            core_seconds += used.ru_utime + used.ru_stime
            peak += used.ru_maxrss * 1024  # Linux counts kibibytes
        seconds = time.perf_counter() - begin
        if any(process.returncode for process in started):
            output.seek(0)
            raise RuntimeError(output.read().decode(errors="replace").strip().rpartition("\n")[2])
    return seconds, core_seconds, peak


def as_json(
    case: Case, programs: Sequence[Program], step_milliseconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return all raw numbers of a case."""
    return {
        "case": asdict(case),
        "trials": len(case.trials),
        "trial_steps": case.trial_steps,
        "programs": {program.name: [asdict(cost) for cost in program.costs] for program in programs},
        "step_milliseconds": dict(step_milliseconds),
    }


def table(case: Case, programs: Sequence[Program], step_milliseconds: Mapping[str, float]) -> str:
    """Return a table of the programs, and the command beside the best of the steps alone.

    Args:
        case: which.
        programs: that have run.
        step_milliseconds: a way of taking steps to the milliseconds of a trial-step.
    """
    work = WORKS[case.work]
    lines = [
        f"{work.title}; from the start of the command to its end",
        f"{len(case.trials)} trials x {case.epochs} epochs = {case.trial_steps:,} trial-steps",
        "",
        f"{'':40}{'seconds':>9}{'core s':>8}{'ms/step':>9}{'MB':>7}{'test':>8}",
    ]
    for program in programs:
        cost = sorted(program.costs, key=lambda each: each.seconds)[len(program.costs) // 2]
        own = 1e3 * program.median_seconds / case.trial_steps
        lines.append(
            f"{program.name:40}{program.median_seconds:9.2f}{cost.core_seconds:8.1f}{own:9.4f}"
            f"{cost.peak_bytes / 2**20:7.0f}{cost.test_accuracy:8.1%}"
        )
    command, *loops = programs
    quickest = min(loops, key=lambda program: program.median_seconds)
    ratio = quickest.median_seconds / command.median_seconds
    lines += ["", f"the command is {ratio:.2f} x as fast as {quickest.name}"]
    if step_milliseconds:
        name = min(step_milliseconds, key=lambda each: step_milliseconds[each])
        own = 1e3 * command.median_seconds / case.trial_steps
        reached = own / step_milliseconds[name]
        verdict = "met" if reached <= 1.15 else "not met"
        lines.append(
            f"it takes {reached:.2f} x the time of the best steps alone, {step_milliseconds[name]:.4f} ms "
            f"({name}); the goal is 1.15: {verdict}"
        )
    return "\n".join(lines)

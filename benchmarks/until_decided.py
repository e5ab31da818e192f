"""Verdicts that hold at every look, on simulated ablations whose truth is known.

    python benchmarks/until_decided.py --json benchmarks/results/until_decided.json

Errors: how often any look of up to 60 gives any wrong verdict. Power: how often, and after how many seeds, a
difference is found. Plans: how often the advised number of seeds decides. Ablations: trainings until the
cells of A2 and A3 are decided, against a fixed number of seeds that decides as many of them; their stored
means and spreads are taken for the truth. Every share comes with its Monte-Carlo standard error.
``--draws 1000`` takes a minute.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from foolscope.experiments.parts.until_decided import MOST_SEEDS, further_seeds_at_once
from foolscope.statistics.planning import further_seeds
from foolscope.statistics.sequential import EFFECT_SCALE, critical_t, log_evidence, running_moments, running_p

ALPHA = 0.05
CHUNK = 1000
RESULTS = Path(__file__).parents[1] / "docs" / "results"


def share(hits: int, draws: int) -> dict[str, float]:
    """Return a share with its Monte-Carlo standard error."""
    p = hits / draws
    return {"share": round(p, 4), "error": round(math.sqrt(max(p * (1 - p), 1 / draws) / draws), 4)}


def holm_rows(p_values: np.ndarray) -> np.ndarray:
    """Adjust by Holm along the last axis."""
    order = np.argsort(p_values, axis=-1, kind="stable")
    steps = np.arange(p_values.shape[-1], 0, -1)
    ordered = np.minimum(1, np.take_along_axis(p_values, order, -1) * steps)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(ordered, axis=-1), -1)
    return adjusted


# ------------------------------------------------------------------ errors at any look


def differences_of(
    generator: np.random.Generator, draws: int, means: Sequence[float], deviations: Sequence[float]
) -> np.ndarray:
    """Draw paired differences from the baseline, [draw, cell, seed]; the baseline is the first."""
    noise = generator.standard_normal((draws, len(means), MOST_SEEDS)) * np.reshape(deviations, (-1, 1))
    values = np.reshape(means, (-1, 1)) + noise
    return values[:, 1:] - values[:, :1]


def chunks(draws: int) -> Iterator[int]:
    for start in range(0, draws, CHUNK):
        yield min(CHUNK, draws - start)


def any_wrong(
    generator: np.random.Generator,
    draws: int,
    deviations: Sequence[float],
    *,
    images: float = 0.0,
    freedom: float = np.inf,
) -> dict[str, Any]:
    """Share of families with a wrong "helps" or "hurts", all equal, and a wrong "no effect", all at δ."""
    cells, margin = len(deviations) - 1, 3.0
    effects = equivalences = 0
    for count in chunks(draws):
        options: dict[str, Any] = {}
        shift = np.zeros((count, cells, 1))
        if images:
            shift = images * generator.standard_normal(shift.shape)
            estimated = images * np.sqrt(generator.chisquare(freedom, (count, cells)) / freedom)
            options = {"image_error": estimated, "image_freedom": np.full((count, cells), freedom)}
        null = running_moments(differences_of(generator, count, [0.0] * (cells + 1), deviations) + shift)
        two_sided = 2 * np.minimum(
            running_p(null, 0.0, **options), running_p(null, 0.0, below=True, **options)
        )
        effects += int((holm_rows(two_sided) < ALPHA).any(axis=-1).sum())
        at_margin = running_moments(
            differences_of(generator, count, [0.0, *[margin] * cells], deviations) + shift
        )
        inside = np.maximum(
            running_p(at_margin, -margin, **options), running_p(at_margin, margin, below=True, **options)
        )
        equivalences += int((holm_rows(inside) < ALPHA).any(axis=-1).sum())
    return {"wrong effect": share(effects, draws), "wrong no effect": share(equivalences, draws)}


def steps_down(generator: np.random.Generator, draws: int, truths: Sequence[float]) -> dict[str, Any]:
    """Share of families with a wrong "helps" or "hurts", among cells of which others do help or hurt."""
    signs = np.sign(truths)
    wrong = 0
    for count in chunks(draws):
        moments = running_moments(differences_of(generator, count, [0.0, *truths], [1.0] * (len(truths) + 1)))
        above, below = running_p(moments, 0.0), running_p(moments, 0.0, below=True)
        found = holm_rows(np.minimum(1, 2 * np.minimum(above, below))) < ALPHA
        wrong += int((found & (np.where(above < below, 1, -1) != signs)).any(axis=-1).sum())
    return {"wrong effect": share(wrong, draws)}


def rounded(generator: np.random.Generator, draws: int, steps_of_margin: float) -> dict[str, Any]:
    """The same for one cell where a step of one image is five residual deviations."""
    step = 5.0
    margin = steps_of_margin * step
    effects = equivalences = 0
    for count in chunks(draws):
        base = generator.uniform(0, step, (count, 1, 1))
        for truth in (0.0, margin):
            latent = (
                base + np.array([0.0, truth])[:, None] + generator.standard_normal((count, 2, MOST_SEEDS))
            )
            values = np.round(latent / step) * step
            moments = running_moments(values[:, 1] - values[:, 0], step=step)
            if truth:
                p = np.maximum(running_p(moments, -margin), running_p(moments, margin, below=True))
                equivalences += int((p < ALPHA).sum())
            else:
                p = 2 * np.minimum(running_p(moments, 0.0), running_p(moments, 0.0, below=True))
                effects += int((p < ALPHA).sum())
    return {"wrong effect": share(effects, draws), "wrong no effect": share(equivalences, draws)}


def after_a_fixed_look(
    generator: np.random.Generator, draws: int, first_level: float, later_level: float
) -> dict[str, Any]:
    """Share wrong where a t test at 5 seeds is the first look, and sequential tests are all later ones."""
    wrong_first = wrong = 0
    for count in chunks(draws):
        moments = running_moments(differences_of(generator, count, [0.0, 0.0], [1.0, 1.0])[:, 0])
        t = moments.means / moments.errors
        first = 2 * stats.t.sf(np.abs(t[:, 3]), 4) < first_level
        evidence = log_evidence(np.abs(t), moments.seeds)[:, 4:].max(axis=-1)
        later = evidence > -math.log(later_level / 2)
        wrong_first += int(first.sum())
        wrong += int((first | later).sum())
    return {"at the first look": share(wrong_first, draws), "at any look": share(wrong, draws)}


def peeking(generator: np.random.Generator, draws: int) -> dict[str, Any]:
    """Share wrong with an ordinary paired t test after every seed from the third."""
    wrong = 0
    for count in chunks(draws):
        moments = running_moments(differences_of(generator, count, [0.0, 0.0], [1.0, 1.0])[:, 0])
        t = np.abs(moments.means / moments.errors)
        wrong += int((t > stats.t.ppf(0.975, moments.seeds - 1))[:, 1:].any(axis=-1).sum())
    return {"at any look": share(wrong, draws)}


# ------------------------------------------------------------------ power and scale


def found(generator: np.random.Generator, draws: int, effect: float, scale: float) -> dict[str, Any]:
    """How often a difference of so many residual deviations is found, and after how many seeds."""
    differences = generator.normal(effect, math.sqrt(2), (draws, MOST_SEEDS))
    moments = running_moments(differences)
    reached = log_evidence(moments.means / moments.errors, moments.seeds, scale) >= math.log(2 / ALPHA)
    ever = reached.any(axis=1)
    seeds = np.where(ever, moments.seeds[reached.argmax(axis=1)], MOST_SEEDS)
    return {
        "found by 60": share(int(ever.sum()), draws),
        "found by 20": share(int(reached[:, :19].any(axis=1).sum()), draws),
        "found by 10": share(int(reached[:, :9].any(axis=1).sum()), draws),
        "mean seeds": round(float(seeds.mean()), 2),
        "fixed t test for the same power": seeds_of_t_test(effect, float(ever.mean())),
    }


def seeds_of_t_test(effect: float, power: float) -> int:
    """How many seeds a paired t test takes for a power."""
    for seeds in range(2, 1000):
        center, critical = effect * math.sqrt(seeds / 2), stats.t.ppf(1 - ALPHA / 2, seeds - 1)
        if stats.nct.sf(critical, seeds - 1, center) >= min(power, 0.9999):
            return seeds
    return 1000


def same(generator: np.random.Generator, draws: int, margin: float) -> dict[str, Any]:
    """How often no effect larger than so many residual deviations is found, and after how many seeds."""
    moments = running_moments(generator.normal(0.0, math.sqrt(2), (draws, MOST_SEEDS)))
    threshold = -math.log(ALPHA)
    above = log_evidence((moments.means + margin) / moments.errors, moments.seeds) >= threshold
    below = log_evidence((margin - moments.means) / moments.errors, moments.seeds) >= threshold
    inside = np.logical_or.accumulate(above, axis=1) & np.logical_or.accumulate(below, axis=1)
    ever = inside.any(axis=1)
    seeds = np.where(ever, moments.seeds[inside.argmax(axis=1)], MOST_SEEDS)
    return {"found by 60": share(int(ever.sum()), draws), "mean seeds": round(float(seeds.mean()), 2)}


# ------------------------------------------------------------------ plans


def t_differs(differences: np.ndarray) -> np.ndarray:
    """Whether a paired t test on the first 2, 3, ... differences finds one; δ has no part in it."""
    moments = running_moments(differences)
    return np.asarray(np.abs(moments.means) > stats.t.ppf(1 - ALPHA / 2, moments.seeds - 1) * moments.errors)


def t_decides(differences: np.ndarray) -> np.ndarray:
    """Whether paired t tests on the first 2, 3, ... differences decide, for δ of one deviation."""
    moments = running_moments(differences)
    reach = stats.t.ppf(1 - ALPHA / 2, moments.seeds - 1) * moments.errors
    same_reach = stats.t.ppf(1 - ALPHA, moments.seeds - 1) * moments.errors
    decided = (np.abs(moments.means) > reach) | (np.abs(moments.means) + same_reach < 1.0)
    return np.asarray(decided)


def evidence_decides(differences: np.ndarray) -> np.ndarray:
    """Whether the sequential tests have decided by the first 2, 3, ... differences."""
    moments = running_moments(differences)
    most = differences.shape[1]
    reach = critical_t(most, ALPHA / 2) * moments.errors
    same_reach = critical_t(most, ALPHA) * moments.errors
    beyond = np.logical_or.accumulate(np.abs(moments.means) > reach, axis=1)
    above = np.logical_or.accumulate(moments.means - same_reach > -1.0, axis=1)
    below = np.logical_or.accumulate(moments.means + same_reach < 1.0, axis=1)
    return np.asarray(beyond | (above & below))


def plans(generator: np.random.Generator, draws: int, effects_scale: float, decides: Any) -> dict[str, Any]:
    """How often the advised seeds decide where 5 have not, for effects of so many deviations."""
    advised = {"even": 0, "four in five": 0}
    decided = {"even": 0, "four in five": 0}
    undecided = 0
    while undecided < draws:
        effect = effects_scale * generator.standard_normal()
        first = generator.normal(effect, 1.0, 5)
        if decides(first[None])[0, -1]:
            continue
        undecided += 1
        for words, more in zip(advised, further_seeds(first, decides, generator), strict=True):
            if more is not None:
                advised[words] += 1
                every = np.concatenate([first, generator.normal(effect, 1.0, more)])
                decided[words] += bool(decides(every[None])[0, -1])
    return {
        words: {
            "decided": share(decided[words], max(1, advised[words])),
            "advised": share(advised[words], draws),
        }
        for words in advised
    }


# ------------------------------------------------------------------ the ablations of A2 and A3


def stored_ablation(name: str) -> tuple[np.ndarray, float, float]:
    """Return values [cell, seed] of a stored ablation, the baseline first, its residual deviation, and δ."""
    study = json.loads((RESULTS / name / "study.json").read_text(encoding="utf-8"))
    (ablation,) = study["ablations"]
    levels = [level for factor in ablation["factors"] for level in factor["levels"]]
    base = next(level for level in levels if level["outcome"] == "baseline")
    others = [level for level in levels if level["outcome"] != "baseline" and None not in level["values"]]
    values = np.array([base["values"], *[level["values"] for level in others]])
    return values, float(ablation["residual_deviation"]), float(ablation["practical_difference"])


def cell_deviations(values: np.ndarray) -> np.ndarray:
    """Estimate each cell's residual deviation by Grubbs, not below a quarter of the pooled one."""
    cells, seeds = values.shape
    residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    squares = (residuals**2).sum(axis=1)
    pooled = squares.sum() / ((cells - 1) * (seeds - 1))
    own = (cells * (cells - 1) * squares - squares.sum()) / ((cells - 1) * (cells - 2) * (seeds - 1))
    return np.sqrt(np.maximum(own, pooled / 16))


def sequence(values: np.ndarray, margin: float, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Add seeds until everything is decided; returns outcomes [draw, cell] and trainings [draw]."""
    differences = values[:, 1:] - values[:, :1]
    moments = running_moments(differences)

    def running(gaps: np.ndarray) -> np.ndarray:
        evidence = log_evidence(gaps / moments.errors, moments.seeds)
        return np.asarray(np.exp(-np.maximum.accumulate(evidence, axis=-1)))

    above, below = running(moments.means), running(-moments.means)
    different = np.minimum(1.0, 2 * np.minimum(above, below))
    inside = np.maximum(running(moments.means + margin), running(margin - moments.means))
    counts = np.full(differences.shape[:2], first)
    outcomes = np.zeros(counts.shape, dtype=int)  # 0 undecided, ±1 helps or hurts, 2 no effect
    while True:
        at = (counts - 2)[..., None]
        p_different = holm_rows(np.take_along_axis(different, at, -1)[..., 0])
        p_inside = holm_rows(np.take_along_axis(inside, at, -1)[..., 0])
        up = np.take_along_axis(above, at, -1)[..., 0] < np.take_along_axis(below, at, -1)[..., 0]
        outcomes = np.where(p_different < ALPHA, np.where(up, 1, -1), outcomes)
        outcomes = np.where(p_inside < ALPHA, 2, outcomes)
        open_cells = outcomes == 0
        grown = np.minimum(
            MOST_SEEDS, counts + np.vectorize(lambda count: further_seeds_at_once(int(count)))(counts)
        )
        if not (open_cells & (counts < MOST_SEEDS)).any():
            break
        counts = np.where(open_cells, grown, counts)
    return outcomes, counts.sum(axis=1) + counts.max(axis=1)


def fixed(values: np.ndarray, margin: float, seeds: int, *, pooled: bool) -> np.ndarray:
    """Outcomes of a fixed number of seeds, with the spread pooled over all cells or of each pair alone."""
    values = values[..., :seeds]
    gaps = values[:, 1:].mean(-1) - values[:, :1].mean(-1)
    if pooled:
        cells = values.shape[1]
        means = values.mean(-1, keepdims=True)
        residuals = values - means - values.mean(1, keepdims=True) + means.mean(1, keepdims=True)
        freedom = (cells - 1) * (seeds - 1)
        errors = np.sqrt((residuals**2).sum((1, 2)) / freedom * 2 / seeds)[:, None]
    else:
        freedom = seeds - 1
        errors = (values[:, 1:] - values[:, :1]).std(-1, ddof=1) / math.sqrt(seeds)
    different = holm_rows(2 * stats.t.sf(np.abs(gaps) / errors, freedom))
    inside = holm_rows(stats.t.cdf((np.abs(gaps) - margin) / errors, freedom))
    outcomes = np.where(different < ALPHA, np.sign(gaps), 0)
    return np.where(inside < ALPHA, 2, outcomes)


def right(outcomes: np.ndarray, truths: np.ndarray, margin: float) -> np.ndarray:
    """Which verdicts are decided and true."""
    effects = (outcomes == np.sign(truths)) & (np.abs(outcomes) == 1)
    return np.asarray(effects | ((outcomes == 2) & (np.abs(truths) < margin)))


def ablation(generator: np.random.Generator, draws: int, name: str, *, uneven: bool) -> dict[str, Any]:
    """Trainings until the cells of a stored ablation are decided, against a fixed number of seeds."""
    stored, deviation, margin = stored_ablation(name)
    deviations = cell_deviations(stored) if uneven else np.full(len(stored), deviation)
    truths = stored[1:].mean(1) - stored[0].mean()
    most = 150
    values = stored.mean(1)[:, None] + deviations[:, None] * generator.standard_normal(
        (draws, len(stored), most)
    )
    outcomes, trainings = sequence(values[..., :MOST_SEEDS], margin, 5)
    found_right = right(outcomes, truths, margin)
    is_wrong = (outcomes != 0) & ~found_right
    report: dict[str, Any] = {
        "cells": len(stored),
        "decided and right": round(float(found_right.mean()), 4),
        "any wrong": share(int(is_wrong.any(axis=1).sum()), draws),
        "trainings": round(float(trainings.mean()), 1),
        "fixed": {},
    }
    for pooled in (True, False):
        for target in (1.0, 0.95):
            for seeds in range(3, most + 1):
                power = float(right(fixed(values, margin, seeds, pooled=pooled), truths, margin).mean())
                if power >= target * found_right.mean():
                    break
            words = "as many" if target == 1 else "95 % as many"
            report["fixed"][f"{'pooled' if pooled else 'paired'}, {words}"] = {
                "seeds": seeds,
                "trainings": seeds * len(stored),
                "decided and right": round(power, 4),
                "trainings until decided, as a share": round(
                    float(trainings.mean()) / (seeds * len(stored)), 3
                ),
            }
    return report


# ------------------------------------------------------------------ all of it


def measure(draws: int) -> dict[str, Any]:
    """Run every row of the simulation."""
    generator = np.random.default_rng(14)
    few = max(50, draws // 20)
    return {
        "draws": draws,
        "effect scale": EFFECT_SCALE,
        "errors": {
            "2 cells": any_wrong(generator, draws, [1.0] * 2),
            "5 cells": any_wrong(generator, draws, [1.0] * 5),
            "5 cells, baseline 3 times noisier": any_wrong(generator, draws, [3.0, 1.0, 1.0, 1.0, 1.0]),
            "5 cells, baseline 10 times noisier": any_wrong(generator, draws, [10.0, 1.0, 1.0, 1.0, 1.0]),
            "5 cells, one 10 times noisier": any_wrong(generator, draws, [1.0, 10.0, 1.0, 1.0, 1.0]),
            "5 cells, two of them 3 deviations off": steps_down(generator, draws, [3.0, -3.0, 0.0, 0.0]),
            "5 cells, all 0.1 deviations off": steps_down(generator, draws, [0.1, 0.1, -0.1, -0.1]),
            "2 cells, new images": any_wrong(
                generator, max(few, draws // 8), [1.0] * 2, images=0.5, freedom=359
            ),
            "5 cells, baseline 3 times noisier, new images": any_wrong(
                generator, max(few, draws // 8), [3.0, 1.0, 1.0, 1.0, 1.0], images=0.5, freedom=359
            ),
            "2 cells, δ = one step of 5 deviations": rounded(generator, draws, 1.0),
            "2 cells, δ = 1.8 steps of 5 deviations": rounded(generator, draws, 1.8),
            "t test after every seed": peeking(generator, draws),
            "t test at 5 seeds, then at any look": after_a_fixed_look(generator, draws, 0.05, 0.05),
            "t test at 5 seeds, then at any look at 1 %": after_a_fixed_look(generator, draws, 0.05, 0.01),
            "t test at 5 seeds at 4 %, then at any look at 1 %": after_a_fixed_look(
                generator, draws, 0.04, 0.01
            ),
        },
        "power": {
            f"τ = {scale}": {
                f"{effect} deviations": found(generator, draws, effect, scale) for effect in (0.5, 1, 2, 4)
            }
            for scale in (0.5, 0.7, 1.0, 1.4, 2.0)
        },
        "no effect": {f"δ = {margin} deviations": same(generator, draws, margin) for margin in (1, 2, 4)},
        "plans": {
            f"{words}, effects of {scale} deviations": plans(generator, few, scale, decides)
            for words, decides in (
                ("fixed, difference only", t_differs),
                ("fixed", t_decides),
                ("any look", evidence_decides),
            )
            for scale in (0.5, 1.0, 2.0)
        },
        "ablations": {
            f"{name}, {'uneven' if uneven else 'even'} spread": ablation(generator, few, name, uneven=uneven)
            for name in ("softmax-cifar10", "one-hidden-layer-cifar10")
            for uneven in (False, True)
        },
    }


def lines(results: Mapping[str, Any], margin: str = "") -> Iterator[str]:
    """Write nested results as indented lines."""
    for name, value in results.items():
        if isinstance(value, Mapping) and set(value) == {"share", "error"}:
            yield f"{margin}{name}: {100 * value['share']:.2f} % (± {100 * value['error']:.2f})"
        elif isinstance(value, Mapping):
            yield f"{margin}{name}"
            yield from lines(value, margin + "  ")
        else:
            yield f"{margin}{name}: {value}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--draws", type=int, default=20_000, help="of each row; a twentieth for the slow ones"
    )
    parser.add_argument("--json", type=Path, help="where to write the results")
    arguments = parser.parse_args()
    began = time.perf_counter()
    results = measure(arguments.draws)
    results["seconds"] = round(time.perf_counter() - began, 1)
    print("\n".join(lines(results)))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

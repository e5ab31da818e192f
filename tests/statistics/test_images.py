import numpy as np
import pandas
import pytest
from scipy import stats as scipy_stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from foolscope.statistics.images import (
    ImagePart,
    contrast_part,
    difference_parts,
    image_part,
    total_degrees_of_freedom,
)


def answers(seed, cells=2, seeds=5, images=80, agreement=1.0):
    """Results that depend on the image, which is harder for some cells, on the seed and on chance."""
    generator = np.random.default_rng(seed)
    difficulty = agreement * (generator.normal(size=images) + generator.normal(size=(cells, 1, images)))
    ability = 0.3 * generator.normal(size=(seeds, 1))
    return generator.normal(size=(cells, seeds, images)) + ability + difficulty > -0.5


def mean_squares(values):
    """Of seeds, images and the residual, by statsmodels' analysis of variance."""
    seeds, images = np.indices(values.shape)
    columns = pandas.DataFrame({"value": values.ravel(), "seed": seeds.ravel(), "image": images.ravel()})
    table = anova_lm(ols("value ~ C(seed) + C(image)", columns).fit())
    return table["mean_sq"].loc[["C(seed)", "C(image)", "Residual"]]


def added(images, largest=1.0):
    return largest**2 / images**2


def test_the_variance_is_that_of_the_analysis_of_variance():
    first, second = answers(0).astype(np.int8)
    values = first - second
    of_seeds, of_images, residual = mean_squares(values.astype(float))
    part, count = image_part(values), values.size
    assert of_images > residual
    assert part.variance == pytest.approx((of_images - residual) / count + added(80))
    assert part.residual == pytest.approx(residual / count)
    over_seeds = values.mean(axis=1).var(ddof=1) / len(values)
    assert over_seeds + part.variance == pytest.approx(
        (of_seeds + of_images - residual) / count + added(80)
    ), "with the variance over seeds that of new seeds and images"


def test_small_integers_and_floats_give_the_same():
    values = answers(1)[0].astype(np.int8) - answers(2)[0].astype(np.int8)
    small, floats = image_part(values), image_part(values.astype(float))
    assert vars(small) == pytest.approx(vars(floats))


def test_the_share_of_the_images_is_unbiased_and_so_is_its_sum_with_that_of_the_seeds():
    generator = np.random.default_rng(3)
    seeds, images, draws = 4, 30, 4000
    of_seeds, of_images, residual = 0.02, 0.3, 0.8  # standard deviations
    shares, totals, means = [], [], []
    for _ in range(draws):
        values = (
            of_seeds * generator.normal(size=(seeds, 1))
            + of_images * generator.normal(size=images)
            + residual * generator.normal(size=(seeds, images))
        )
        share = image_part(values, largest=0.0).variance
        shares.append(share)
        totals.append(share + values.mean(axis=1).var(ddof=1) / seeds)
        means.append(values.mean())
    truncation = 0.0004  # no share is below 0
    assert np.mean(shares) == pytest.approx(of_images**2 / images, abs=truncation)
    expected = of_seeds**2 / seeds + of_images**2 / images + residual**2 / (seeds * images)
    assert np.mean(totals) == pytest.approx(expected, rel=0.06)
    assert np.var(means) == pytest.approx(expected, rel=0.1)


def test_the_pigeonhole_bootstrap_comes_to_nearly_the_same():
    """Owen (2007): drawing seeds and images anew gives at most the variance plus that of the residual."""
    first, second = answers(4, seeds=20, images=300).astype(np.int8)
    values = (first - second).astype(float)
    generator = np.random.default_rng(5)
    means = [
        values[np.ix_(generator.integers(20, size=20), generator.integers(300, size=300))].mean()
        for _ in range(4000)
    ]
    part = image_part(values, largest=0.0)
    ours = values.mean(axis=1).var(ddof=1) / 20 + part.variance
    assert ours * 0.95 < np.var(means) < (ours + 2 * part.residual) * 1.1
    assert part.variance > 4 * part.residual, "or anything would pass"


def test_few_differing_images_are_no_certainty():
    same = np.zeros((5, 360), dtype=np.int8)
    assert image_part(same).variance == pytest.approx(1 / 360**2)
    one = same.copy()
    one[:, 0] = 1
    assert image_part(one).variance == pytest.approx((1 / 360 - 1 / 360**2) / 359 + 1 / 360**2)
    assert image_part(one).degrees_of_freedom == pytest.approx(2.0, abs=0.02), "a single image tells it"


def test_degrees_of_freedom_are_those_of_a_variance_of_the_same_variability():
    generator = np.random.default_rng(6)
    for draw in (
        lambda: generator.normal(size=(1, 200)),
        lambda: generator.choice([-1.0, 0.0, 1.0], p=[0.03, 0.94, 0.03], size=(1, 200)),
        lambda: 0.5 * generator.normal(size=200) + generator.normal(size=(4, 200)),  # half is residual
    ):
        parts = [image_part(draw(), largest=0.0) for _ in range(3000)]
        variances = np.array([part.variance for part in parts])
        expected = 2 * variances.mean() ** 2 / variances.var()
        assert np.median([part.degrees_of_freedom for part in parts]) == pytest.approx(expected, rel=0.15)


def test_cells_are_compared_with_the_baseline_seed_by_seed():
    correct = answers(7, cells=3)
    parts = difference_parts(correct, baseline=1)
    small = correct.astype(np.int8)
    assert parts[1] is None
    for cell in (0, 2):
        assert parts[cell] == image_part(small[cell] - small[1])
        assert vars(parts[cell]) == pytest.approx(vars(contrast_part(correct, {cell: 1.0, 1: -1.0})))


def test_trials_that_do_not_exist_are_ignored():
    correct = answers(8, cells=3, seeds=4)
    present = np.ones((3, 4), dtype=bool)
    present[0, 2] = False
    present[2] = [False, False, True, False]
    parts = difference_parts(correct, baseline=1, present=present)
    other = correct.copy()
    other[~present] ^= True
    assert difference_parts(other, baseline=1, present=present) == parts
    shared = [0, 1, 3]
    assert parts[0] == image_part(correct[0][shared].astype(np.int8) - correct[1][shared].astype(np.int8))
    present[1] = [True, True, False, False]
    assert difference_parts(correct, baseline=1, present=present)[2] is None, "no seed in common"
    assert difference_parts(correct, baseline=1, present=present, paired=False)[2] is not None


def test_without_pairs_the_share_is_unbiased_too():
    generator = np.random.default_rng(9)
    images, seeds = 60, (3, 6)
    shares = []
    for _ in range(3000):
        chance = np.clip(0.6 + 0.25 * generator.normal(size=(2, 1, images)), 0, 1)
        correct = generator.random((2, 6, images)) < chance
        present = np.arange(6) < np.array(seeds)[:, None]
        part = difference_parts(correct, baseline=1, paired=False, present=present)[0]
        shares.append(part.variance - added(images))
    draws = np.clip(0.6 + 0.25 * generator.normal(size=(2, 400_000)), 0, 1)
    assert np.mean(shares) == pytest.approx((draws[0] - draws[1]).var() / images, rel=0.05)


def test_a_single_seed_cannot_tell_the_residual_from_the_images():
    values = answers(10, seeds=1)[0].astype(np.int8)
    part = image_part(values)
    assert part.residual == 0
    assert part.variance == pytest.approx(values.var(ddof=1) / 80 + added(80))


def test_weights_of_a_trend():
    correct = answers(11, cells=3)
    small = correct.astype(float)
    part = contrast_part(correct, (-1.0, 0.0, 1.0))
    assert vars(part) == pytest.approx(vars(image_part(small[2] - small[0])))
    doubled = contrast_part(correct, (-2.0, 0.0, 2.0))
    assert doubled.variance == pytest.approx(4 * part.variance)


def test_satterthwaite():
    assert total_degrees_of_freedom((2.0, 4)) == pytest.approx(4)
    assert total_degrees_of_freedom((1e-200, 4), (1e-200, 4)) == pytest.approx(8)
    assert total_degrees_of_freedom((0.0, 4), (1.0, 300)) == pytest.approx(300)
    assert total_degrees_of_freedom((1.0, 0), (1.0, 300)) == 0
    assert total_degrees_of_freedom((0.0, 4)) == float("inf")
    first, second = np.array([3.0, 4.0, 8.0, 2.0]), np.array([1.0, 9.0, 3.0, 3.0, 2.5, 2.0])
    spreads = [each.var(ddof=1) / len(each) for each in (first, second)]
    welch = scipy_stats.ttest_ind(first, second, equal_var=False).df
    assert total_degrees_of_freedom((spreads[0], 3), (spreads[1], 5)) == pytest.approx(welch)


@pytest.mark.parametrize("shape", [(5, 1), (0, 10), (10,)])
def test_a_shape_that_is_none_of_seeds_and_images_is_refused(shape):
    with pytest.raises(ValueError, match="one row per seed and one column per image, at least two images"):
        image_part(np.zeros(shape, dtype=np.int8))


def test_inputs_are_left_alone():
    correct = answers(12, cells=3)
    before = correct.copy()
    difference_parts(correct, baseline=0)
    contrast_part(correct, {0: 1.0, 2: -1.0})
    assert np.array_equal(correct, before)
    assert isinstance(image_part(correct[0].view(np.int8)), ImagePart)

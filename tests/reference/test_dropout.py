import numpy as np

from foolscope.reference import Dropout


def test_a_generator_drops_at_its_rate_and_keeps_the_mean():
    layer = Dropout(0.3, np.random.default_rng(0).random)
    outputs, cache = layer.forward({}, np.ones((200, 500)))
    dropped = outputs == 0
    assert abs(dropped.mean() - 0.3) < 0.005
    np.testing.assert_allclose(outputs[~dropped], 1 / 0.7)
    assert np.array_equal(layer.backward({}, cache, np.ones((200, 500)))[0], outputs)
    assert not np.array_equal(layer.forward({}, np.ones((200, 500)))[0], outputs)


def test_the_generator_decides():
    first, second = (
        Dropout(0.5, np.random.default_rng(7).random).forward({}, np.ones((4, 5)))[0] for _ in range(2)
    )
    assert np.array_equal(first, second)


def test_a_given_mask():
    mask = np.array([[True, False, True]])
    outputs, _ = Dropout(0.25, lambda shape: mask.astype(np.float64)).forward({}, np.ones((1, 3)))
    assert np.array_equal(outputs, mask / 0.75)

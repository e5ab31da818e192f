import pytest
import torch

from foolscope.core.errors import ThreatError
from foolscope.threats.threat import Threat, check_images, parse_epsilon, parse_epsilons


@pytest.mark.parametrize(
    ("text", "value"),
    [("8/255", 8 / 255), (" 1 / 4 ", 0.25), ("0.03", 0.03), ("1e-3", 1e-3), (0, 0.0), (0.5, 0.5)],
)
def test_parse_epsilon(text, value):
    assert parse_epsilon(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1/0", "-1/255", "nan", "inf", float("nan"), float("inf"), "1/2/3", "1/"]
)
def test_parse_epsilon_refuses(text):
    with pytest.raises(ThreatError, match="epsilon must"):
        parse_epsilon(text)


def test_parse_epsilons():
    assert parse_epsilons("0:16/255:4/255") == tuple(k / 255 for k in (0, 4, 8, 12, 16))
    assert parse_epsilons("0:10/255:4/255") == tuple(k / 255 for k in (0, 4, 8))
    assert parse_epsilons("8/255, 0,2/255,8/255") == (0.0, 2 / 255, 8 / 255)
    assert parse_epsilons("0.5") == (0.5,)
    for text in ("0:1", "0:1:0", "1:0:1/255", "0:1:-1/255", "0,,1"):
        with pytest.raises(ThreatError):
            parse_epsilons(text)


def test_epsilon_in_the_wrong_unit():
    with pytest.raises(ThreatError) as caught:
        Threat("linf", 8)
    assert (
        str(caught.value) == "epsilon must be in [0, 1] (pixels scaled to [0, 1]); got 8. Did you mean 8/255?"
    )
    with pytest.raises(ThreatError, match=r"\[0, 1.732\].*got 128. Did you mean 128/255"):
        Threat("l2", 128).check_size(3, 1, 1)
    with pytest.raises(ThreatError, match=r"\[0, 12\]"):
        Threat("l1", 12.5).check_size(3, 2, 2)
    Threat("l1", 12).check_size(3, 2, 2)
    Threat("l2", 3**0.5).check_size(3, 1, 1)
    Threat("linf", 1)


def test_threat_refuses():
    with pytest.raises(ThreatError, match="Did you mean 'linf'"):
        Threat("inf", 0.1)
    with pytest.raises(ThreatError, match="bounds"):
        Threat("linf", 0.1, (1.0, 0.0))
    with pytest.raises(ThreatError, match="negative"):
        Threat("l2", -1)


def test_check_images():
    threat, labels = Threat("linf", 0.1), torch.zeros(2, dtype=torch.int64)
    images = torch.full((2, 1, 2, 2), 0.5)
    check_images(images, labels, threat)
    check_images(images[:0], labels[:0], threat)
    with pytest.raises(ThreatError, match="Divide by 255"):
        check_images((images * 255).byte(), labels, threat)
    with pytest.raises(ThreatError, match="normalization inside the model"):
        check_images(images - 1, labels, threat)
    with pytest.raises(ThreatError, match="values in"):
        check_images(images * torch.nan, labels, threat)
    with pytest.raises(ThreatError, match="shape"):
        check_images(images[0], labels, threat)
    with pytest.raises(ThreatError, match="shape"):
        check_images(images, labels[:1], threat)
    with pytest.raises(ThreatError, match="int64"):
        check_images(images, labels.float(), threat)

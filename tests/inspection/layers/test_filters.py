import torch
from torch import Tensor, nn

from foolscope.inspection.layers.filters import first_layer_filters
from foolscope.models import LSTM, build_model

IMAGE = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0))


def test_a_unit_over_the_whole_image_answers_most_to_its_own_picture():
    model = nn.Sequential(nn.Flatten(), nn.Linear(60, 7, bias=False))
    filters, arrays = first_layer_filters(model, IMAGE)
    assert filters.kind == "affine"
    weights = torch.stack([torch.from_numpy(arrays[each.key]) for each in filters.shown])
    answers = (weights * IMAGE).sum(dim=(1, 2, 3))
    torch.testing.assert_close(answers, model(IMAGE[None])[0].detach())


def test_the_first_layer_is_the_one_that_is_used_first():
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(24, 3)
            self.eye = nn.Conv2d(3, 2, (3, 2), bias=False)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.head(self.eye(images)[..., :2, :2].repeat(1, 1, 1, 3).flatten(1))
            return logits

    model = Crossed()
    filters, arrays = first_layer_filters(model, IMAGE)
    assert (filters.layer, filters.kind) == ("eye", "convolution")
    assert torch.equal(torch.from_numpy(arrays["filter-1"]), model.eye.weight[1])
    assert not model.eye._forward_hooks


def test_what_sees_no_picture_has_no_filters():
    lstm = build_model(LSTM(hidden=4, normalization="none"), (3, 5, 4), 2, seed=0)
    mixing = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(40, 2))
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    assert [first_layer_filters(model, IMAGE) for model in (lstm, mixing, pooled)] == [None] * 3

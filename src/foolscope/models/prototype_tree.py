"""The prototype tree: a soft decision tree whose nodes ask whether an image contains a patch."""

from collections import OrderedDict
from typing import Annotated, Literal

from jaxtyping import Int64, UInt8
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.models.conclusion import Conclusion
from foolscope.models.prototype_layers import (
    CountedLeaves,
    GradientLeaves,
    NearestPrototypes,
    SoftTree,
    counted,
    hard_decisions,
    soft_decisions,
)
from foolscope.models.prototype_projection import deciding, project, prune, tree_parts
from foolscope.models.settings import ImageShape, ModelSettings

__all__ = ["PrototypeTree", "build_prototype_tree", "conclude_prototype_tree", "count_leaves"]

_Width = Annotated[int, Field(ge=1)]


class PrototypeTree(ModelSettings):
    """Convolutional features, the nearest patch to each prototype, a soft decision tree over them.

    Stages of convolutions 3×3 with batch normalization and ReLU, a max-pooling before all but the first;
    a convolution 1×1 with sigmoid; a complete tree whose logits are log-probabilities. Nauta et al. 2021,
    *Neural prototype trees*, arXiv:2012.02046; they use a pretrained ResNet-50 in place of the stages.
    """

    name: Literal["prototype-tree"] = "prototype-tree"
    channels: Annotated[tuple[_Width, ...], Field(min_length=1)] = Field(
        (32, 64, 64), description="channels of each stage of the features; all stages but the first halve"
    )
    convolutions: int = Field(1, ge=1, description="convolutions in a stage")
    features: int = Field(32, ge=1, description="channels of the latent map, numbers in a 1×1 prototype")
    patch: int = Field(1, ge=1, description="side of a prototype on the latent map")
    depth: int = Field(5, ge=1, le=12, description="decisions from the root to a leaf")
    leaves: Literal["gradient", "derivative-free"] = Field(
        "gradient",
        description="whether leaf distributions learn by gradient descent or, as published, by counting "
        "images",
    )
    projection: bool = Field(
        True, description="replace every prototype by its nearest latent training patch after training"
    )
    pruning: float | None = Field(
        0.01,
        ge=0.0,
        lt=1.0,
        description="after training remove leaves whose largest probability is at most this above 1/classes",
    )
    decisions: Literal["soft", "greedy"] = Field(
        "soft", description="whether evaluation averages all paths or follows the more likely child"
    )
    head: Literal["tree", "linear"] = Field(
        "tree",
        description="the tree, or for comparison average pooling and an affine layer on the same stages",
    )


def build_prototype_tree(settings: PrototypeTree, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network.

    Raises:
        RecipeError: the images are too small for the number of stages, or the latent map for a prototype.
    """
    channel, height, width = image_shape
    halvings = len(settings.channels) - 1
    rows, columns = height >> halvings, width >> halvings
    if min(rows, columns) < settings.patch:
        smallest = settings.patch << halvings
        raise RecipeError(
            f"model prototype-tree with {halvings + 1} stages and patch {settings.patch} needs images of at "
            f"least {smallest}×{smallest} pixels; got {height}×{width}"
        )
    stages = _stages(settings, channel)
    last = settings.channels[-1]
    if settings.head == "linear":
        return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes))
    count = 2**settings.depth
    leaves = (GradientLeaves if settings.leaves == "gradient" else CountedLeaves)(count, classes)
    decide = hard_decisions if settings.decisions == "greedy" else soft_decisions
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*stages, nn.Conv2d(last, settings.features, 1), nn.Sigmoid()),
            nearest=NearestPrototypes(count - 1, settings.features, settings.patch, image_shape),
            tree=SoftTree(leaves, settings.depth, decide),
        )
    )


def _stages(settings: PrototypeTree, channel: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = channel
    for stage, outputs in enumerate(settings.channels):
        if stage > 0:
            layers.append(nn.MaxPool2d(2))
        for _ in range(settings.convolutions):
            layers += [
                nn.Conv2d(before, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            before = outputs
    return layers


def count_leaves(
    model: nn.Module,
    statistics: dict[str, Tensor],
    labels: Int64[Tensor, " batch"],
    step: int,
    steps_per_epoch: int,
) -> None:
    """Update counted leaves in place after a forward pass in training; other leaves are left alone.

    Args:
        model: a prototype tree with its normalization in front.
        statistics: of the model, by the names of its buffers, among them the leaves' scores.
        labels: of the last minibatch that the model has seen.
        step: number of gradient steps taken before.
        steps_per_epoch: B.

    Raises:
        RecipeError: the last forward pass was over a part of the minibatch.
    """
    parts = tree_parts(model)
    if parts is None or not isinstance(parts.tree.leaves, CountedLeaves):
        return
    assert parts.tree.log_reached is not None
    if len(parts.tree.log_reached) != len(labels):
        raise RecipeError(
            "leaves = 'derivative-free' counts the images of whole minibatches; use accumulation = 1, or "
            "leaves = 'gradient'"
        )
    own = statistics["body.tree.leaves.scores"]
    before = statistics["body.tree.leaves.scores_before"]
    new = counted(own, parts.tree.log_reached, labels)
    if step % steps_per_epoch == 0:
        before.copy_(own)
    own.sub_(before / steps_per_epoch).clamp_(min=0).add_(new)


def conclude_prototype_tree(
    settings: PrototypeTree,
    model: nn.Module,
    images: UInt8[Tensor, "count channel height width"],
    labels: Int64[Tensor, " count"],
) -> Conclusion:
    """Project and prune a trained tree as its settings say.

    Its variants build on each other: the soft tree as trained, projected, pruned as well, with hard
    decisions as well.
    """
    if tree_parts(model) is None:
        return Conclusion(model, {})
    final, variants = model, {"soft": deciding(model, soft_decisions)}
    if settings.projection:
        final = project(final, images, labels)
        variants["projected"] = deciding(final, soft_decisions)
    if settings.pruning is not None:
        final = prune(final, settings.pruning)
        variants["pruned"] = deciding(final, soft_decisions)
    return Conclusion(final, variants | {"greedy": deciding(final, hard_decisions)})

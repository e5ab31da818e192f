"""Attribution: which pixels a logit depends on, by several methods, and how far to trust their maps.

A method is a file with frozen settings that have ``maps``, as
:class:`~foolscope.inspection.attribution.method.Attribution` says, a line in :data:`ATTRIBUTIONS` and a test.
"""

from foolscope.inspection.attribution.grad_cam import GradCAM
from foolscope.inspection.attribution.gradient import Gradient
from foolscope.inspection.attribution.integrated_gradients import IntegratedGradients
from foolscope.inspection.attribution.method import Attribution, Maps, attribute
from foolscope.inspection.attribution.occlusion import Occlusion
from foolscope.inspection.attribution.smoothgrad import SmoothGrad

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "GradCAM",
    "Gradient",
    "IntegratedGradients",
    "Maps",
    "Occlusion",
    "SmoothGrad",
    "attribute",
]

ATTRIBUTIONS: dict[str, type[Attribution]] = {
    "gradient": Gradient,
    "smoothgrad": SmoothGrad,
    "integrated-gradients": IntegratedGradients,
    "grad-cam": GradCAM,
    "occlusion": Occlusion,
}
"""Name of a method -> its settings."""

import hypothesis
import pytest
import torch

# Machines that run tests are busy; how long one example takes says nothing.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def _the_same_weights_whatever_ran_before():
    """Networks that a test builds as anyone would draw their weights from the generator that all share."""
    torch.manual_seed(0)

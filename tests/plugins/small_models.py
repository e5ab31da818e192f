"""Settings that keep models small in the tests that run over the whole table; others have their defaults."""

SMALL_MODELS = {
    "linear-regression": {},
    "softmax": {},
    "mlp": {"hidden": [20, 16]},
    "small-cnn": {"channels": [4, 6], "units": [20, 16]},
    "resnet": {"channels": [4, 6]},
    "rnn": {"hidden": 5},
    "lstm": {"hidden": 5},
    "attention": {"hidden": 8, "layers": 2, "heads": 2},
    "convnet": {"channels": [4, 6], "units": 20},
    "all-conv": {"base_channels": 4, "input_dropout": 0.0, "dropout": 0.0},
    "resnet18": {"base_channels": 4},
    "resnet34": {"base_channels": 4},
    "resnet50": {"base_channels": 4},
    "vit": {"hidden": 8, "depth": 2, "heads": 2},
    "fast-cnn": {"channels": [8, 8, 8]},
    "prototype-tree": {"channels": [2, 3], "features": 3, "depth": 2},
}

NOT_MIRRORED = {"attention", "resnet18", "resnet34", "resnet50", "vit", "fast-cnn", "prototype-tree"}
"""Models of which no network of hand-derived layers can be made."""

"""Recipe fields, their values and metrics as a report writes them."""

from typing import Any

__all__ = ["corruption_words", "field_words", "metric_words", "norm_words", "value_words"]

_FIELD_WORDS = {
    "decay": "learning-rate decay",
    "dropout": "dropout rate",
    "blocks": "number of blocks",
    "channels": "number of channels",
    "epochs": "number of epochs",
    "hidden": "hidden width",
    "l1": "L1 coefficient",
    "l2": "L2 coefficient",
    "clipping": "clipping threshold",
    "steps": "number of steps",
    "units": "number of units",
    "model": "model",
    "optimizer": "optimizer",
    "schedule": "learning-rate schedule",
}


_SCORES = {
    "f1": "macro F1",
    "auc": "area under the ROC curve",
    "brier": "Brier score",
}
_CLASS_SCORES = {"f1": "F1", "auc": "area under the ROC curve"}


def field_words(name: str) -> str:
    """Return a field's short name in words.

    Example:
        >>> field_words("batch_size"), field_words("l2"), field_words("training.epochs")
        ('batch size', 'L2 coefficient', 'number of epochs')
        >>> field_words("augmentation.random_crop.padding"), field_words("parameter_groups.2.weight_decay")
        ('random-crop padding', 'group 2 weight decay')
    """
    *owners, leaf = name.split(".")
    words = _FIELD_WORDS.get(leaf, leaf.replace("_", " "))
    if len(owners) < 2:  # the entry of a list is named; the component of a field is not
        return words
    return f"group {owners[1]} {words}" if owners[1].isdigit() else f"{owners[1].replace('_', '-')} {words}"


def value_words(value: Any) -> str:
    """Return a field's value in words.

    Example:
        >>> value_words((100,)), value_words([50, 20]), value_words(1e-3), value_words(None)
        ('100', '50-20', '0.001', 'none')
        >>> value_words((-15.0, 15.0)), value_words(("fc.*", "conv1.*")), value_words(())
        ('-15 to 15', 'fc.*+conv1.*', 'none')
    """
    if value is None or value in ((), []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        words = [value_words(each) for each in value]
        return ("+" if isinstance(value[0], str) else " to " if words[0][0] == "-" else "-").join(words)
    return str(value)


def metric_words(metric: str) -> str:
    """Name a metric.

    Example:
        >>> metric_words("test_accuracy"), metric_words("validation_f1"), metric_words("test_recall@cat")
        ('test accuracy', 'validation macro F1', 'test recall of cat')
    """
    quantity, of_class, name = metric.partition("@")
    split, _, score = quantity.partition("_")
    if of_class:
        return f"{split} {_CLASS_SCORES.get(score, score)} of {name}"
    if score in _SCORES:
        return f"{split} {_SCORES[score]}"
    return _SCORES.get(metric, metric.replace("_", " "))


def norm_words(name: str) -> str:
    """Return a norm as it is written.

    Example:
        >>> norm_words("linf"), norm_words("l2")
        ('L∞', 'L2')
    """
    return {"linf": "L∞"}.get(name, name.upper())


def corruption_words(name: str) -> str:
    """Return the name of a corruption, or of a kind of corruptions, in words.

    Example:
        >>> corruption_words("jpeg-compression")
        'JPEG compression'
    """
    return name.replace("-", " ").replace("jpeg", "JPEG").replace("gaussian", "Gaussian")

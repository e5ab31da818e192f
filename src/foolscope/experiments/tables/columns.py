"""What a column is, by its name: a metric and how it is read, a seed, a run's state, or bookkeeping."""

import re

__all__ = [
    "is_bookkeeping",
    "is_epoch",
    "is_fraction",
    "is_metric",
    "is_replicate",
    "is_seed",
    "is_state",
    "is_summary",
    "lower_is_better",
    "metric_rank",
    "plain_name",
    "seed_number",
]

_PREFIX = re.compile(r"(params|metrics|config|summary|hparams|user_attrs)[._/]", re.IGNORECASE)
_TOKEN = re.compile(r"f1|r2|top[-_@ ]?[15]|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_SHARES = _set("accuracy acc top f1 auc auroc auprc precision recall iou miou dice sensitivity specificity")
_ERRORS = {"error", "err"}
_LOWER = _ERRORS | _set(
    "loss perplexity ppl nll rmse mse mae brier ece wer cer fid cost bpc bpb regret latency kl entropy"
)
_HIGHER = _set(
    "score reward return bleu rouge kappa mcc r2 psnr ssim map objective metric result value performance ap"
)
_COSTS = {"time", "seconds", "memory", "energy", "flops"}
_METRICS = _SHARES | _LOWER | _HIGHER

_SEEDS = {"fold", "random state", "seed everything", "cv fold"}
_REPLICATES = _set("run runs rep reps repeat repeats repetition replicate replica trial attempt")
_STATES = {"state", "status", "run state"}
_SPREADS = _set("mean avg average std sd sem stdev stddev median var variance ci")
_SUMMARIES = _SPREADS | _set("min max total sum n count")
_RECORDS = {
    *("name", "run name", "display name", "group", "tags", "notes", "note", "comment", "comments", "user"),
    *("author", "created", "created at", "updated", "updated at", "start time", "end time", "finished"),
    *("date", "time", "wall time", "relative time process", "relative time wall", "sweep", "host", "gpu"),
    *(
        "gpu type",
        "gpu count",
        "epoch",
        "step",
        "global step",
        "trainer global step",
        "iteration",
        "experiment",
    ),
    *("url", "experiment name", "lifecycle stage", "job type", "description", "version", "number", "index"),
    *("row", "file", "path", "unnamed"),
}
_TELLTALES = _set(
    "id uuid uid hash timestamp datetime runtime duration hostname username commit artifact elapsed"
)
_NUMBERED = re.compile(
    r"(?P<word>seed|random[ _-]?state|fold|split|run|rep|repeat|trial|replicate|s|r)?"
    r"[ _#=.:-]*(?P<number>\d{1,9})",
    re.IGNORECASE,
)


def plain_name(name: str) -> str:
    """The name without what a tracker puts before it.

    Example:
        >>> plain_name("params.lr"), plain_name("metrics.test_acc"), plain_name("params_lr"), plain_name("lr")
        ('lr', 'test_acc', 'lr', 'lr')
    """
    return _PREFIX.sub("", name, count=1) if _PREFIX.match(name) else name


def is_metric(name: str) -> bool:
    """Whether the name is one of a result: ``test_acc``, ``val/loss``, ``metrics.anything``.

    Example:
        >>> [is_metric(name) for name in ("test_acc", "metrics.x", "learning_rate", "valAccuracy")]
        [True, True, False, True]
    """
    return name.lower().startswith("metrics.") or bool(_METRICS & set(_words(name)))


def is_fraction(name: str) -> bool:
    """Whether the quantity is a share of images, whichever way it is written."""
    return bool(_SHARES & set(_words(name)))


def lower_is_better(name: str) -> bool:
    """Whether a low value is good: losses, errors, perplexities.

    Example:
        >>> [lower_is_better(name) for name in ("val/loss", "top1_err", "acc", "x")]
        [True, True, False, False]
    """
    return bool((_LOWER | _COSTS) & set(_words(name)))


def metric_rank(name: str) -> tuple[int, int, bool, int]:
    """Order metrics by how likely one is meant: test before validation before training, accuracy first."""
    words = _words(name)
    splits = (("test", "eval"), (), ("val", "valid", "validation", "dev"), ("train", "training", "running"))
    split = next((rank for rank, own in enumerate(splits) if set(own) & set(words)), 1)
    kinds = ({"accuracy", "acc"}, _SHARES, _HIGHER, _ERRORS, _LOWER)
    kind = next((rank for rank, own in enumerate(kinds) if own & set(words)), len(kinds))
    return split, kind, bool(re.search(r"5(?!\d)", name)), len(words)


def is_seed(name: str) -> bool:
    """Whether rows with an equal value share chance: a seed, a fold.

    Example:
        >>> [is_seed(name) for name in ("seed", "params.random_seed", "trainer.seed", "fold", "seeded", "lr")]
        [True, True, True, True, False, False]
    """
    words = _words(name)
    return " ".join(words) in _SEEDS or (words[-1:] == ["seed"] and len(words) <= 3)


def is_epoch(name: str) -> bool:
    """Whether the column says how far training has come."""
    return " ".join(_words(name)) in {"epoch", "step", "global step", "iteration", "trainer global step"}


def is_replicate(name: str) -> bool:
    """Whether the column only counts runs of a setting: ``run``, ``repetition``."""
    words = [word for word in _words(name) if word not in ("id", "number", "no", "nr", "index")]
    return len(words) == 1 and words[0] in _REPLICATES


def is_state(name: str) -> bool:
    """Whether the column says what became of a run."""
    return " ".join(_words(name)) in _STATES


def is_summary(name: str) -> bool:
    """Whether the column sums up others: a mean, a standard deviation.

    Example:
        >>> [is_summary(name) for name in ("mean", "acc_std", "max_lr", "init_std")]
        [True, True, False, False]
    """
    words = set(_words(name))
    return words <= _SUMMARIES or bool(words & _SPREADS and words & _METRICS)


def is_bookkeeping(name: str) -> bool:
    """Whether the column tells runs apart or says when and where they ran, and is no setting.

    Example:
        >>> [is_bookkeeping(name) for name in ("run_id", "tags.mlflow.user", "datetime_start", "Created")]
        [True, True, True, True]
        >>> [is_bookkeeping(name) for name in ("model_name", "params.version", "step_size", "epochs")]
        [False, False, False, False]
    """
    if name.startswith("_") or name.lower().startswith(("tags.", "system_attrs", "system/", "datetime_")):
        return True
    if plain_name(name) != name:
        return False
    words = [word for word in _words(name) if not word.isdigit()]
    return " ".join(words) in _RECORDS or bool(_TELLTALES & set(words))


def seed_number(name: str) -> tuple[str, int] | None:
    """Read the header of a column that holds one seed: "" or the word before the number, and the number.

    Example:
        >>> seed_number("seed 3"), seed_number("2"), seed_number("run_01"), seed_number("resnet18")
        (('seed', 3), ('', 2), ('run', 1), None)
    """
    found = _NUMBERED.fullmatch(name.strip())
    return ((found["word"] or "").lower(), int(found["number"])) if found else None


def _words(name: str) -> list[str]:
    return [re.sub(r"^top[-_@ ]?[15]$", "top", word.lower()) for word in _TOKEN.findall(plain_name(name))]

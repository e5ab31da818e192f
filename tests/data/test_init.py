"""The contract of every line in the table of data sets."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch

from foolscope.core.errors import DataError
from foolscope.data import DATASETS, get, load, source, status, verify


@pytest.fixture(params=DATASETS)
def name(request):
    return request.param


@pytest.fixture
def settings(name, writers, tmp_path):
    return writers[name](tmp_path)


def own(name):
    return {"path": "x"} if source(name).own_files else {}


def test_every_data_set_has_a_writer(writers):
    assert set(writers) == set(DATASETS)


def test_settings_name_is_the_key(name):
    assert source(name).settings(**own(name)).name == name
    with pytest.raises(pydantic.ValidationError):
        source(name).settings(**own(name), name="another")


def test_settings_are_frozen_closed_and_described(name):
    kind = source(name).settings
    settings = kind(**own(name))
    with pytest.raises(pydantic.ValidationError):
        settings.split_seed = 1
    with pytest.raises(pydantic.ValidationError):
        kind(**own(name), nonsense=1)
    assert all(field.description for key, field in kind.model_fields.items() if key != "name")
    assert kind.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    "wrong", [{"validation_fraction": 0.0}, {"validation_fraction": 1.0}, {"limit": 0}, {"validation": "x"}]
)
def test_settings_out_of_range(name, wrong):
    with pytest.raises(pydantic.ValidationError):
        source(name).settings(**own(name), **wrong)


def test_loads_what_the_contract_says(name, settings, tmp_path):
    data = load(settings, tmp_path)
    assert data.name == name
    for part in (data.train, data.validation, data.test):
        assert part is not None
        assert part.images.dtype == torch.uint8
        assert part.images.shape[1:] == data.image_shape
        assert part.labels.dtype == torch.int64
        assert part.labels.shape == part.images.shape[:1]
        assert 0 <= int(part.labels.min()) <= int(part.labels.max()) < len(data.classes)
    facts = source(name).facts
    if facts.classes is not None:
        assert facts.classes == len(data.classes)
        assert facts.image_shape == data.image_shape


def test_same_settings_same_data_and_another_seed_another_split(name, settings, tmp_path):
    first, second = load(settings, tmp_path), load(settings, tmp_path)
    assert first.fingerprint == second.fingerprint
    other = load(settings.model_copy(update={"split_seed": 1}), tmp_path)
    assert other.fingerprint != first.fingerprint
    assert len(other.train) == len(first.train)


def test_global_randomness_is_neither_read_nor_written(name, settings, tmp_path):
    first = load(settings, tmp_path)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    second = load(settings, tmp_path)
    assert first.fingerprint == second.fingerprint
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_limit_takes_from_training_alone(name, settings, tmp_path):
    whole = load(settings, tmp_path)
    few = load(settings.model_copy(update={"limit": 5}), tmp_path)
    assert len(few.train) == 5
    assert torch.equal(few.validation.images, whole.validation.images)
    assert torch.equal(few.test.images, whole.test.images)
    rows = {row.tobytes() for row in whole.train.images.flatten(1).numpy()}
    assert all(row.tobytes() in rows for row in few.train.images.flatten(1).numpy())
    many = load(settings.model_copy(update={"limit": 10**6}), tmp_path)
    assert many.fingerprint == whole.fingerprint


def test_splits_partition_what_was_read(name, settings, tmp_path):
    """Pixels of all parts together are the pixels of the files, however they are divided."""
    parts = source(name).read(settings, tmp_path)
    before = [row.tobytes() for part in (parts.train, parts.test) for row in part.images.flatten(1).numpy()]
    data = load(settings, tmp_path)
    after = [
        row.tobytes()
        for part in (data.train, data.validation, data.test)
        for row in part.images.flatten(1).numpy()
    ]
    assert sorted(before) == sorted(after)
    assert torch.equal(parts.test.images, data.test.images)


def test_missing_files_are_one_line_that_says_what_to_do(name, tmp_path):
    if name == "digits":
        return
    with pytest.raises(DataError) as caught:
        load(source(name).settings(**own(name)), tmp_path / "empty")
    text = str(caught.value)
    assert "\n" not in text
    assert str(tmp_path / "empty") in text
    assert "set path" in text if source(name).own_files else f"foolscope data get {name}" in text


def test_status_before_and_after(name, writers, tmp_path):
    root = tmp_path / "root"
    before = {line.name: line for line in status(root)}[name]
    writers[name](root)
    after = {line.name: line for line in status(root)}[name]
    if source(name).files:
        assert (before.state, after.state) == ("absent", "present")
        assert before.missing
        assert not after.missing
        assert all(path.exists() for path in after.locations)
    else:
        assert before == after
        assert before.state == ("own" if source(name).own_files else "built in")


def test_verify_reads_tiny_files_and_knows_they_are_not_official(name, settings, tmp_path):
    result = verify(name, tmp_path, settings)
    assert result.problem is None
    assert result.verdict == ("readable, but not the official bits" if source(name).files else "readable")
    assert all(check.state == "different" for check in result.files)
    assert {check.split for check in result.splits} == {"train", "test"}
    parts = source(name).read(settings, tmp_path)
    assert [check.count for check in result.splits] == [len(parts.train), len(parts.test)]


def test_get_needs_no_network_when_the_files_are_there(name, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("it went to the network"))
    if source(name).own_files:
        with pytest.raises(DataError, match="your own files"):
            get(name, tmp_path)
        return
    result = get(name, tmp_path)
    assert result.downloaded == ()
    assert len(result.already_there) == len(source(name).files)


def test_official_files_are_described_fully(name):
    for file in source(name).files:
        assert len(file.sha256) == 64
        assert file.size > 0
        assert file.mirrors
        assert all(Path(url).name == Path(file.path).name for url in file.mirrors)
        assert all(
            len(inside.digest) == {"sha256": 64, "md5": 32}[inside.algorithm] for inside in file.contents
        )


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match=r"Did you mean 'cifar10'\? Known: .*mnist"):
        source("cifar-10")


def test_verify_of_own_files_needs_settings(tmp_path):
    with pytest.raises(DataError, match="path"):
        verify("npz", tmp_path)


def test_device_is_where_the_pixels_go(writers, tmp_path):
    settings = writers["npz"](tmp_path)
    data = load(settings, tmp_path, "meta")
    assert data.train.images.device.type == "meta"
    assert data.fingerprint == load(settings, tmp_path).fingerprint


def test_import_leaves_the_slow_libraries_for_later():
    code = "import sys, foolscope.data; print(sorted({'sklearn', 'PIL'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"

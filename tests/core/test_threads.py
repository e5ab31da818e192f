import pytest
import torch

from foolscope.core import threads
from foolscope.core.threads import limit_threads, thread_count, usable_threads, worthwhile_threads


def test_the_number_of_threads_is_restored_also_after_an_error():
    before = torch.get_num_threads()
    with thread_count(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(KeyError), thread_count(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before


def test_short_steps_get_one_thread_and_long_ones_all():
    with thread_count(3):
        assert worthwhile_threads(1e3) == 1
        assert worthwhile_threads(1e12) == 3


def test_no_more_threads_are_used_than_there_are_cores(monkeypatch):
    with thread_count(3):
        monkeypatch.setattr(threads, "available_cores", lambda: 2)
        assert usable_threads() == 2
        with thread_count(3):
            limit_threads()
            assert torch.get_num_threads() == 2
        monkeypatch.setattr(threads, "available_cores", lambda: 64)
        assert usable_threads() == 3

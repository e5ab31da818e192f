from foolscope.data import MnistSettings, load


def test_classes_are_the_digits(writers, tmp_path):
    writers["mnist"](tmp_path)
    assert load(MnistSettings(), tmp_path).classes == tuple("0123456789")

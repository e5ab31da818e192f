from foolscope.experiments.parts.pictures import alternate_classes


def test_classes_take_turns():
    labels = [7, 7, 7, 1, 1, 2]
    assert alternate_classes([0, 1, 2, 3, 4, 5], labels, 3) == [0, 3, 5]
    assert alternate_classes([0, 1, 2, 3, 4, 5], labels, 4) == [0, 1, 3, 5]
    assert alternate_classes([1, 4], labels, 3) == [1, 4]

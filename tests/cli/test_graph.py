import xml.etree.ElementTree as ElementTree


def test_the_graph_of_a_run_is_a_picture_of_its_own(foolscope, refused, run_of, tmp_path):
    identity = run_of("--model", "mlp", "--hidden", "8")
    printed = foolscope("inspect", identity[:8], "--limit", "60", "--graph").out
    assert "for 60 images, is in graph.svg" in printed
    assert "effective rank" not in printed
    drawn = ElementTree.fromstring((tmp_path / "graph.svg").read_text())
    words = " ".join("".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text"))
    assert all(each in words for each in ("Images", "body.1", "8×64", "10×8", "labels", "Loss"))
    line = refused("inspect", "--graph", identity[:8], identity[:8])
    assert line.endswith(f"got '{identity[:8]}'; RUN goes before it")

from dfd.report.svg import FAKE, new_axes, to_svg


def draw(name: str, description: str = "a line") -> str:
    figure, axes = new_axes()
    axes.plot([0, 1], [1, 0], color=FAKE, label="<b>&")
    axes.set_title("<script>")
    axes.legend()
    return str(to_svg(figure, name, description))


def test_colours_are_those_of_the_page() -> None:
    svg = draw("one")
    assert "var(--fake)" in svg and "var(--ink)" in svg and "#0505" not in svg


def test_text_is_escaped() -> None:
    svg = draw("one", 'a "quoted" <b>')
    assert "<script>" not in svg and "<b>" not in svg and "a &#34;quoted&#34; &lt;b&gt;" in svg


def test_the_same_figure_gives_the_same_text_and_names_keep_ids_apart() -> None:
    assert draw("one") == draw("one")
    assert 'id="one-' in draw("one") and 'id="one-' not in draw("two")

"""Pictures and tables of a page show what they were given, also where that is odd."""

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest

from quantlab.errors import SpecificationError
from quantlab.rendering import render_notebook
from quantlab.style import figure_csv, figure_svg
from quantlab.tables import format_number, format_table

DRAWN = {
    "points": (lambda ax: ax.scatter([1, 2], [3, 4]), "x,y\n1,3\n2,4\n"),
    "lying bars": (lambda ax: ax.barh(["a", "b"], [1, 2]), "x,y\n1,a\n2,b\n"),
    "lying bars at places": (lambda ax: ax.barh([0, 1], [5, 6]), "x,y\n5,0\n6,1\n"),
    "standing bars": (lambda ax: ax.bar(["a", "b"], [1, 2]), "x,y\na,1\nb,2\n"),
    "no bars": (lambda ax: ax.bar([], []), ""),
}


@pytest.mark.parametrize("name", DRAWN)
def test_the_data_of_a_picture_are_what_was_drawn(name):
    draw, expected = DRAWN[name]
    ax = plt.figure().subplots()
    draw(ax)
    assert figure_csv(ax)[0] == expected
    assert figure_svg(ax).startswith("<svg")


def test_words_that_look_like_the_place_of_a_drawing_stay_words():
    cells = [nbformat.v4.new_markdown_cell("# Page\n\nSee `[[drawing 0]]` and [[drawing 7]].")]
    page = render_notebook(nbformat.v4.new_notebook(cells=cells))
    assert "[[drawing 0]]" in page and "[[drawing 7]]" in page


def test_a_cell_that_is_no_number_is_shown_as_it_is():
    table = pd.DataFrame({"a": [[1, 2], np.nan, 1 + 2j]}, dtype=object)
    assert format_table(table)["a"].tolist() == ["[1, 2]", "none", "(1+2j)"]
    for kind in (5, {"a": 5}):
        with pytest.raises(SpecificationError, match="5 is no kind"):
            format_table(pd.DataFrame({"a": [1]}), kind)
    with pytest.raises(SpecificationError, match="is no kind"):
        format_number(1.0, "q")

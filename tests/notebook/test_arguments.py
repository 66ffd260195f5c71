"""What IPython hands over, and the prompts that it would take for a request for help."""

from __future__ import annotations

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from imagen_nb.errors import InputError
from imagen_nb.notebook.magic import keep_prompts_whole, read_call
from imagen_nb.planning.options import Options


def transformed(cell: str) -> str:
    manager = TransformerManager()
    manager.cleanup_transforms.append(keep_prompts_whole)
    return str(manager.transform_cell(cell))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("%imagen a fox?", "a fox?"),
        ("%imagen   a fox??  ", "a fox??"),
        ("x = 1\n%imagen -n 2 who's there?", "-n 2 who's there?"),
        ("r = %imagen why?", "why?"),
        ("pair[0], _ = %imagen why?", "why?"),
        ("if True:\n    %imagen why?", "why?"),
        ("for n in range(2):\n    r = %imagen why = not?", "why = not?"),
    ],
)
def test_question_is_a_prompt(cell: str, text: str) -> None:
    """A prompt that ends in a question mark becomes a call with exactly that text."""
    assert f"get_ipython().run_line_magic('imagen', {text!r})" in transformed(cell)
    assert "pinfo" not in transformed(cell)


@pytest.mark.parametrize("cell", ["%imagen?", "%imagen??", "%%imagen?", "%imagen_log?", "len?", "x = 5 %imagen"])
def test_help_is_left_to_ipython(cell: str) -> None:
    """What asks about the magic itself, or has nothing to do with it, is not touched."""
    lines = cell.splitlines(keepends=True)
    assert keep_prompts_whole(lines) is lines


def test_text_is_left_alone() -> None:
    """A line inside a string that looks like a magic stays as it is, and so does the body of a cell magic."""
    text = 'text = """\n%imagen a fox?\n"""\n'
    assert transformed(text) == text
    assert transformed("%%imagen\n%imagen a fox?\n").count("run_cell_magic('imagen', '', '%imagen a fox?\\n')") == 1


def test_line_and_cell() -> None:
    """A line holds options and prompt; a cell's first line holds options only, and its body is the prompt."""
    assert read_call("-n 2 a  'fox", None) == (Options(repeat=2), "a  'fox")
    assert read_call("-n 2", "a\r\n fox\r\n") == (Options(repeat=2), "a\n fox")
    assert read_call("-h", None) == (Options(help=True), "")
    assert read_call("--help", "anything") == (Options(help=True), "")
    assert read_call("?", None) == (Options(help=True), "")


@pytest.mark.parametrize(
    ("line", "cell", "words"),
    [
        ("", None, "the prompt is empty"),
        ("--", None, "the prompt is empty"),
        ("", " ", "the prompt is empty"),
        ("a fox", " ", "holds options only, and 'a fox' is none"),
        ("aspect-ratio 1:1", "a fox\n", "holds options only"),
    ],
)
def test_mistakes(line: str, cell: str | None, words: str) -> None:
    """An empty prompt, and text where only options may stand, are refused."""
    with pytest.raises(InputError, match=words):
        read_call(line, cell)

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sample_runs import run, unseen

from imagen_nb.records import Run
from imagen_nb.views.names import image_name, image_names

ANY = st.text(max_size=60)


def sweep(animals: list[str], **more: Any) -> list[Run]:
    """Two styles, two shapes and two repeats of each animal."""
    every = itertools.product(animals, ("oil", "ink"), ("1:1", "16:9"), (1, 2))
    return [
        run(
            f"a {animal} in {style}",
            [unseen(number)],
            template="a {animal} in {style}",
            slots={"animal": animal, "style": style},
            params={"aspect_ratio": shape, "steps": 4},
            repeat=repeat,
            number=number,
            **more,
        )
        for number, (animal, style, shape, repeat) in enumerate(every)
    ]


def test_a_name_says_what_varies_and_no_more() -> None:
    """Slots first, then parameters, then the repeat; what is the same in all runs is left out."""
    names = [name for (name,) in image_names(sweep(["fox", "owl"]))]
    assert names[:4] == ["fox_oil_1x1_1.jpg", "fox_oil_1x1_2.jpg", "fox_oil_16x9_1.jpg", "fox_oil_16x9_2.jpg"]
    assert image_names(sweep(["fox"]))[0] == ("oil_1x1_1.jpg",)
    models = [
        run("a fox", [unseen(n)], model=f"me/{m}", params={"seed": n}) for n, m in enumerate(("flux", "imagen-4"))
    ]
    assert image_names(models) == [("seed-0_flux.jpg",), ("seed-1_imagen-4.jpg",)]
    prompts = [run(prompt, [unseen(len(prompt))]) for prompt in ("a red fox, in snow", "an owl")]
    assert image_names(prompts) == [("a-red-fox-in-snow.jpg",), ("an-owl.jpg",)]
    assert image_names([run("a fox", [unseen(1), unseen(2)])]) == [("a-fox-1.jpg", "a-fox-2.jpg")]


def test_the_same_runs_have_the_same_names_in_any_order() -> None:
    """Also those that only the digits of a hash tell apart."""
    runs = [*sweep(["fox", "owl"]), *(run("a bear", [unseen(100 + n)], slots={"animal": "bear"}) for n in range(3))]
    mixed = random.Random(1).sample(runs, len(runs))  # noqa: S311 - an order, no secret
    found = [dict(zip([each.images for each in some], image_names(some), strict=True)) for some in (runs, mixed)]
    assert found[0] == found[1]


def test_one_image_alone_has_a_name_of_its_own() -> None:
    """Two pictures of one request differ in it, and one picture keeps its own."""
    first, second = (
        run("a fox", [unseen(1)], slots={"animal": "fox"}),
        run("a fox", [unseen(2)], slots={"animal": "fox"}),
    )
    assert image_name(first.images[0]) == f"fox_{first.images[0].sha256[:6]}.jpg" != image_name(second.images[0])
    assert image_name(unseen(1)) == f"image_{unseen(1).sha256[:6]}.jpg"


@given(st.lists(st.tuples(ANY, ANY, st.integers(1, 3)), min_size=1, max_size=6))
def test_any_text_makes_names_that_every_file_system_takes(texts: list[tuple[str, str, int]]) -> None:
    """Short, of letters, digits, `_` and `-` before the ending, and no two alike where case does not count."""
    runs = [run(a, [unseen(1)] * n, slots={"a": a, "b": b}, params={"p": [a, b]}) for a, b, n in texts]
    names = [name for some in image_names(runs) for name in some]
    assert len({name.casefold() for name in names}) == len(names) == sum(n for *_, n in texts)
    for name in names:
        stem, _, ending = name.rpartition(".")
        assert ending == "jpg"
        assert 0 < len(name.encode()) < 143
        assert not set(stem) & set('\\/:*?"<>|. \t\n\0')
        assert stem.isprintable()
        assert stem.lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}

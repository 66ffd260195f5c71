"""What the simulator makes of pictures given to it, of questions, and of prices."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from caller import Caller
from PIL import Image

from imagen_nb.simulator import Simulator
from imagen_nb.simulator.answers import answer
from imagen_nb.simulator.catalogue import catalogue
from imagen_nb.simulator.files import Reference, reference_of
from imagen_nb.simulator.prices import charge

Calling = Callable[[Simulator], Caller]
EDITOR, TALKER = "google/nano-banana-2", "openai/gpt-5-mini"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def png(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (400, 200)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def upload(call: Caller, data: bytes) -> str:
    head = b'--x\r\nContent-Disposition: form-data; name="content"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    made = call("POST", "/v1/files", head + data + b"\r\n--x--\r\n", content_type="multipart/form-data; boundary=x")
    return str(made.json["urls"]["get"])


def colours(data: bytes) -> dict[tuple[int, int, int], int]:
    with Image.open(io.BytesIO(data)) as picture:
        found = picture.convert("RGB").getcolors(picture.width * picture.height)
    return {colour: count for count, colour in found or ()}  # type: ignore[misc] # RGB


def test_references_are_seen_in_the_picture_and_give_it_its_shape(call: Caller) -> None:
    """By upload and as data:, side by side; the echo has addresses alone, and the same ones give the same picture."""
    uris = [upload(call, png()), data_uri(png(BLUE))]
    asked = {"model": EDITOR, "image_input": uris, "output_format": "png"}
    made = call.create(wait=True, **asked)
    assert made["status"] == "succeeded"
    assert made["input"]["image_input"][0] == uris[0]
    assert made["input"]["image_input"][1].startswith(uris[0].rpartition("/")[0])
    data = call.fetch(made["output"]).body
    assert Image.open(io.BytesIO(data)).size == (1440, 720)
    assert min(colours(data).get(RED, 0), colours(data).get(BLUE, 0)) > 5000
    alone = call.create(wait=True, **{**asked, "image_input": uris[:1]})
    assert BLUE not in colours(call.fetch(alone["output"]).body)


def test_a_seed_repeats_though_the_file_is_uploaded_anew(call: Caller) -> None:
    """The picture depends on what the file holds, and not on where it lies."""
    asked = {"model": "black-forest-labs/flux-2-pro", "seed": 7, "resolution": "0.5 MP"}
    pictures = [
        call.fetch(call.create(wait=True, input_images=[upload(call, png(colour))], **asked)["output"]).body
        for colour in (RED, RED, BLUE)
    ]
    assert pictures[0] == pictures[1] != pictures[2]


def test_a_picture_is_as_high_as_one_sees_it() -> None:
    """One that its EXIF turns counts as turned."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 20), RED).save(buffer, "JPEG", exif=exif)
    buffer.seek(0)
    found = reference_of(buffer, "a")
    with Image.open(io.BytesIO(found.picture)) as small:
        assert found.size == small.size == (20, 60)


def test_an_earlier_output_may_be_given_and_nothing_is_fetched_from_elsewhere(call: Caller) -> None:
    """Its own address is looked up; a foreign one is taken as it is."""
    earlier = call.create(wait=True)["output"]
    elsewhere = "https://example.invalid/fox.png"
    made = call.create(model=EDITOR, wait=True, image_input=[earlier, elsewhere])
    assert (made["status"], made["input"]["image_input"]) == ("succeeded", [earlier, elsewhere])


@pytest.mark.parametrize("kind", ["expired", "deleted", "no picture", "no base64"])
def test_a_file_that_cannot_be_had_fails_the_prediction(calling: Calling, kind: str) -> None:
    """It says which, and costs nothing."""
    with Simulator(latency=0.0, file_life=0.05 if kind == "expired" else 60.0) as simulator:
        call = calling(simulator)
        uri = {"no picture": data_uri(b"hello"), "no base64": "data:image/png;base64,%%%"}.get(kind)
        uri = uri or upload(call, png())
        if kind == "deleted":
            call("DELETE", "/" + uri.split("/", 3)[3])
        until = time.monotonic() + 10
        while kind == "expired" and simulator.files and time.monotonic() < until:
            time.sleep(0.01)
        failed = call.create(model=EDITOR, wait=True, image_input=[uri])
        assert failed["status"] == "failed"
        assert failed["error"]
        assert ("404" in failed["error"]) == (kind in ("expired", "deleted"))
        assert simulator.bills == []


def test_text_comes_in_pieces_with_its_tokens_and_its_price(call: Caller, simulator: Simulator) -> None:
    """As the service's text models answer; a longer question and a picture cost more."""
    short = call.create("What is it?", model=TALKER, wait=True)
    assert len(short["output"]) > 1
    assert "".join(short["output"]).startswith("A simulated answer")
    long = call.create("What is it? " * 50, model=TALKER, wait=True, image_input=[data_uri(png())])
    assert long["metrics"]["input_token_count"] > short["metrics"]["input_token_count"] + 258
    bills = [each["usd"] for each in simulator.bills]
    rule = catalogue()[TALKER].price["metrics"]
    for made, bill in zip((short, long), bills, strict=True):
        assert bill == pytest.approx(sum(price * made["metrics"][name] for name, price in rule.items()))


def reference(name: str, edges: float = 0.0) -> Reference:
    return Reference(name, (1, 1), b"", edges)


def says(prompt: str, *names: str | Reference, **params: Any) -> str:
    pictures = [reference(each) if isinstance(each, str) else each for each in names]
    return answer(prompt, model=TALKER, params=params, references=pictures)


def test_answers_have_the_form_that_is_asked_for() -> None:
    """Yes or no, a figure in its range, else a sentence; each the same when asked again."""
    names = [f"p{number}" for number in range(60)]
    assert {says("Is it sharp? Answer yes or no.", each) for each in names} == {"yes", "no"}
    assert {int(says("Rate it from 1 to 5 as a number.", each)) for each in names} == {1, 2, 3, 4, 5}
    assert says("Well?", "p1", system_prompt="Answer yes or no.") in ("yes", "no")
    assert says("Describe it.", "p1") == says("Describe it.", "p1")
    assert "1 picture " in says("Describe it.", "p1")


def test_a_judge_likes_sharp_edges_and_of_one_pair_in_four_the_first() -> None:
    """The rule that its notebook finds out: asked in both orders, it agrees with itself in three of four pairs."""
    which = "Which picture is better, A or B? Say A, B or TIE first."
    pairs = [(reference(f"p{number}", 20), reference(f"q{number}", 40)) for number in range(200)]
    orders = [(says(which, *pair), says(which, *pair[::-1])) for pair in pairs]
    assert set(orders) == {("B", "A"), ("A", "A")}
    assert 35 <= orders.count(("A", "A")) <= 65
    same = [(reference(f"p{number}", 20), reference(f"q{number}", 20)) for number in range(20)]
    assert {says(which, *pair) for pair in same} == {"TIE", "A"}
    assert {says("Which is better? Answer A or B.", *pair) for pair in same} == {"A"}
    noise = Image.effect_noise((400, 300), 60).convert("RGB")
    sharp, soft, tiny = (io.BytesIO() for _ in range(3))
    for file, picture in (
        (sharp, noise),
        (soft, noise.resize((40, 30)).resize((400, 300))),
        (tiny, noise.crop((0, 0, 1, 1))),
    ):
        picture.save(file, "PNG")
    found = [reference_of(file, "").edges for file in (sharp, soft, tiny)]
    assert found[0] > found[1] > found[2] == 0.0


def test_whoever_wants_another_judge_gives_one(calling: Calling) -> None:
    """`answer=` hears the prompt, the model, the other inputs and the pictures."""
    heard: list[Any] = []

    def other(prompt: str, *, model: str, params: Mapping[str, Any], references: Sequence[Reference]) -> str:
        heard.append((prompt, model, params["verbosity"], [each.size for each in references]))
        return "TIE"

    with Simulator(latency=0.0, answer=other) as simulator:
        call = calling(simulator)
        made = call.create("A or B?", model=TALKER, wait=True, image_input=[data_uri(png())])
    assert made["output"] == ["TIE"]
    assert heard[0] == ("A or B?", TALKER, "medium", [(400, 200)])


MP = (1024, 1024)


@pytest.mark.parametrize(
    ("model", "given", "references", "usd"),
    [
        ("google/imagen-4", {}, [], 0.04),
        ("google/nano-banana-2", {}, [], 0.067),
        ("google/nano-banana-2", {"resolution": "2K"}, [], 0.101),
        ("google/nano-banana-2", {"resolution": "4K"}, [MP] * 3, 0.151),
        ("google/nano-banana-pro", {}, [], 0.15),
        ("openai/gpt-image-2", {"number_of_images": 3}, [], 3 * 0.128),
        ("openai/gpt-image-2", {"quality": "low"}, [], 0.012),
        ("black-forest-labs/flux-2-pro", {}, [], 0.03),
        ("black-forest-labs/flux-2-pro", {"resolution": "2 MP"}, [(1536, 1536), (300, 300)], 0.015 * (1 + 2 + 3 + 1)),
        ("black-forest-labs/flux-2-max", {"aspect_ratio": "custom", "width": 2048, "height": 2048}, [], 0.16),
        ("black-forest-labs/flux-2-dev", {"go_fast": False}, [], 0.014),
        ("black-forest-labs/flux-2-dev", {}, [MP], 0.024),
        ("black-forest-labs/flux-schnell", {"num_outputs": 4}, [], 0.012),
        ("bytedance/seedream-4.5", {"max_images": 5}, [], 0.04),
        ("bytedance/seedream-4.5", {"max_images": 5, "sequential_image_generation": "auto"}, [], 0.2),
    ],
)
def test_the_bill_follows_the_published_rule(
    model: str, given: dict[str, Any], references: list[tuple[int, int]], usd: float
) -> None:
    """By tier, by run, by megapixel in and out, by picture."""
    spec = catalogue()[model]
    filled = spec.echo({"prompt": "x", **given})
    sizes = [spec.pixels(filled, references[0] if references else None)] * spec.pictures(filled)
    assert charge(spec.price, filled, made=sizes, given=references, metrics={}) == pytest.approx(usd, abs=1e-9)


def test_what_fails_or_never_starts_is_not_billed(calling: Calling) -> None:
    """What was canceled at work is, once; what runs on is not yet."""
    with Simulator(latency=0.4) as simulator:
        call = calling(simulator)
        for prompt in ("a fox", "a fox [fail]", "a fox [blocked]"):
            call.create(prompt, wait=True)
        stuck, never = call.create("a fox [stuck]"), call.create("a fox [stuck]")
        call("POST", f"/v1/predictions/{never['id']}/cancel")
        until = time.monotonic() + 10
        while call.get(stuck)["status"] == "starting" and time.monotonic() < until:
            time.sleep(0.01)
        assert len(simulator.bills) == 1
        call("POST", f"/v1/predictions/{stuck['id']}/cancel")
        assert [each["usd"] for each in simulator.bills] == [0.04, 0.04]
        assert simulator.billed == 0.08
        assert simulator.bills[1] == {"id": stuck["id"], "model": "google/imagen-4", "usd": 0.04}


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_model_makes_what_it_says(calling: Calling, name: str) -> None:
    """One of each, over the socket: its output has the shape that its schema tells, and it is billed."""
    with Simulator(latency=0.0, paint=lambda *_, **__: b"a picture") as simulator:
        call = calling(simulator)
        model = catalogue()[name]
        made = call.create(model=name, wait=True)
        schema = call("GET", f"/v1/models/{quote(name)}").json["latest_version"]["openapi_schema"]
        is_list = schema["components"]["schemas"]["Output"]["type"] == "array"
        assert (made["status"], isinstance(made["output"], list)) == ("succeeded", is_list)
        outputs = made["output"] if is_list else [made["output"]]
        assert all(each.startswith("http") for each in outputs) == (model.output != "text")
        assert len(simulator.bills) == 1
        assert simulator.billed > 0

"""The service's official client, 1.0.7, as a stranger that knows nothing of a simulator."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagen_nb.simulator import Simulator

# The client asks pydantic for its first version, which warns on Pythons that are newer than itself.
pytestmark = pytest.mark.filterwarnings("ignore:Core Pydantic V1 functionality:UserWarning")
MODEL = "google/imagen-4"


@pytest.fixture
def served() -> Iterator[Simulator]:
    with Simulator(latency=0.3, token="a-token") as simulator:
        yield simulator


@pytest.fixture
def client(served: Simulator) -> Iterator[Any]:
    import replicate

    made = replicate.Client(api_token="a-token", base_url=served.base_url)
    made.poll_interval = 0.02
    yield made
    made._client.close()


def image_of(data: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.format, picture.size


def test_it_creates_waits_and_reads(client: Any) -> None:
    """Create by model, wait by polling, and the output is a URL whose file is a picture."""
    from replicate.helpers import FileOutput

    prediction = client.models.predictions.create(MODEL, {"prompt": "a red fox", "aspect_ratio": "16:9"})
    assert prediction.status in ("starting", "processing")
    prediction.wait()
    assert prediction.status == "succeeded"
    assert prediction.metrics["predict_time"] > 0
    assert image_of(FileOutput(prediction.output, client).read()) == ("JPEG", (1408, 768))


def test_it_reloads_and_cancels_by_its_own_base_url(client: Any, served: Simulator) -> None:
    """Though the reply's URLs name another host, reload and cancel reach this one."""
    prediction = client.predictions.create(model=MODEL, input={"prompt": "a red fox [stuck]"})
    assert prediction.urls["get"].startswith("https://api.replicate.com/")
    prediction.reload()
    assert prediction.status in ("starting", "processing")
    prediction.cancel()
    assert prediction.status == "canceled"
    assert client.predictions.get(prediction.id).status == "canceled"
    assert [each["status"] for each in served.predictions] == ["canceled"]


def test_it_creates_by_version(client: Any) -> None:
    """With the id that the model's page gives, and the version is shown again."""
    version = client.models.get(MODEL).latest_version
    prediction = client.predictions.create(version=version, input={"prompt": "a red fox"})
    assert (prediction.version, prediction.model) == (version.id, MODEL)


def test_it_lists_page_by_page(client: Any) -> None:
    """The newest first, and its own paging reaches all of them."""
    from replicate.pagination import paginate

    made = [client.models.predictions.create(MODEL, {"prompt": f"fox {number}"}).id for number in range(102)]
    pages = list(paginate(client.predictions.list))
    assert [len(page) for page in pages] == [100, 2]
    assert [each.id for page in pages for each in page] == made[::-1]


def test_it_reads_a_models_schema_and_versions(client: Any) -> None:
    """The page of a model, its one version, and the schema in it."""
    model = client.models.get(MODEL)
    assert (model.owner, model.name) == ("google", "imagen-4")
    (version,) = model.versions.list()
    assert model.versions.get(version.id).openapi_schema["components"]["schemas"]["Input"]["required"] == ["prompt"]


@pytest.mark.parametrize("held", [{}, {"wait": False}], ids=["held", "polling"])
def test_run_gives_pictures(client: Any, served: Simulator, held: dict[str, bool]) -> None:
    """One call from prompt to file, held or polling, for a model of one picture and for one of several.

    The client makes a file of https: and data: outputs alone, so it is given data: and all others an address.
    """
    one = client.run(MODEL, input={"prompt": "a red fox"}, **held)
    assert image_of(one.read()) == image_of(b"".join(one)) == ("JPEG", (1024, 1024))
    assert served.predictions[0]["output"].startswith(f"{served.base_url}/files/")
    several = {"prompt": "a red fox", "num_outputs": 2, "megapixels": "0.25", "output_format": "png"}
    outputs = client.run("black-forest-labs/flux-schnell", input=several, **held)
    assert [image_of(each.read()) for each in outputs] == [("PNG", (512, 512))] * 2


def test_run_by_owner_name_and_version(client: Any) -> None:
    """`owner/name:version` works as well."""
    version = client.models.get(MODEL).latest_version.id
    assert client.run(f"{MODEL}:{version}", input={"prompt": "a red fox"})


def test_its_errors_are_the_services(client: Any, served: Simulator) -> None:
    """A blocked prompt, a bad value and a wrong token come out as the client's own errors."""
    import replicate
    from replicate.exceptions import ModelError, ReplicateError

    with pytest.raises(ModelError, match="E005"):
        client.run(MODEL, input={"prompt": "a fox [blocked]"})
    with pytest.raises(ReplicateError, match="must be one of the following"):
        client.run(MODEL, input={"prompt": "a fox", "aspect_ratio": "2:1"})
    stranger = replicate.Client(api_token="another", base_url=served.base_url)
    with pytest.raises(ReplicateError) as refused:
        stranger.models.get(MODEL)
    stranger._client.close()
    assert (refused.value.status, refused.value.title) == (401, "Unauthenticated")


def test_it_streams(client: Any) -> None:
    """The events of a prediction: its output, or the error, and the end."""
    events = list(client.stream("black-forest-labs/flux-schnell", input={"prompt": "a red fox", "num_outputs": 2}))
    assert [str(each.event) for each in events] == ["EventType.OUTPUT", "EventType.OUTPUT", "EventType.DONE"]
    assert [image_of(event.data.read()) for event in events[:2]] == [("WEBP", (1024, 1024))] * 2
    with pytest.raises(RuntimeError, match=r"simulated: \[fail\]"):
        list(client.stream(MODEL, input={"prompt": "a fox [fail]"}))


def test_it_looks_around(client: Any) -> None:
    """What a first hour asks besides: the account, and which models there are."""
    assert client.accounts.current().username == "simulator"
    assert MODEL in [f"{each.owner}/{each.name}" for each in client.models.list()]


def test_it_uploads_and_takes_a_file_as_an_input(client: Any, served: Simulator, tmp_path: Path) -> None:
    """`files.create`, what becomes of it, and a local file given to a model, which is seen in the picture."""
    path = tmp_path / "fox.png"
    Image.new("RGB", (300, 300), "red").save(path)
    stored = client.files.create(path, metadata={"of": "a fox"})
    assert (stored.name, stored.content_type, stored.size) == ("fox.png", "image/png", path.stat().st_size)
    assert client.files.get(stored.id).checksums["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [each.id for each in client.files.list()] == [stored.id]
    inputs = {"prompt": "a red fox", "aspect_ratio": "1:1", "output_format": "png"}
    with path.open("rb") as file:
        for given in (stored.urls["get"], file):
            output = client.run("google/nano-banana-2", input={**inputs, "image_input": [given]})
            with Image.open(io.BytesIO(output.read())) as picture:
                colours = {colour: count for count, colour in picture.convert("RGB").getcolors(2**21)}
            assert colours[255, 0, 0] > 5000
        text = client.run("openai/gpt-5-mini", input={"prompt": "Is it red? yes or no", "image_input": [file]})
    assert "".join(text) in ("yes", "no")
    assert client.files.delete(stored.id)
    assert len(served.files) == 2

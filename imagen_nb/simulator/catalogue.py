"""The models that the simulator offers: their schemas, and what it makes of an input.

The facts are those of the package's catalogue, one file a model: inputs, output, price, seconds. What is made of them
is the simulator's own: the schema in the shape the service uses, its refusals, and how many pictures there are of which
size, for which `sizes.json` has the pixels of those models whose publishers name them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}
_PIXELS, _RATIO = re.compile(r"(\d{2,5})x(\d{2,5})"), re.compile(r"(\d{1,2}):(\d{1,2})")
_THOUSANDS, _MEGAPIXELS = re.compile(r"(\d)K"), re.compile(r"(\d{1,2}(?:\.\d+)?)(?: MP)?")
_SIZE_INPUTS = ("resolution", "image_size", "size", "megapixels", "output_megapixels")
_COUNTS = ("num_outputs", "number_of_images", "num_images", "max_images")
_EXTENSIONS = {"jpg": "jpg", "jpeg": "jpg", "png": "png", "webp": "webp"}
_MATCH = "match_input_image"
_LARGEST_MATCH = 4.0
MEGAPIXEL = 1024 * 1024
_STEP = 16
_FASTER, _SLOWEST_S, _USUAL_S = 10.0, 3.0, 1.0


@dataclass(frozen=True)
class Problem:
    """One reason why the service would refuse an input; `type`, `field`, `description` as in `invalid_fields`."""

    type: str
    field: str
    description: str


@dataclass(frozen=True)
class Model:
    """One model. `inputs` are JSON-schema properties, of type string where they name none, some with `required`.

    `output` is "picture", "pictures" (a list) or "text". `price` is the published rule, or None where unknown.
    `seconds` is the mean latency of a prediction where none was asked for. `sizes` gives pixels per aspect ratio where
    they are published, `megapixels` the size where no input says it, and `format` is the file's where none does.
    """

    name: str
    inputs: Mapping[str, Mapping[str, Any]]
    output: str = "picture"
    price: Any = None
    seconds: float = _USUAL_S
    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    megapixels: float = 1.0
    format: str = "jpg"

    @property
    def is_list(self) -> bool:
        """Whether the output is a list: of pictures, or of pieces of a text."""
        return self.output != "picture"

    @cached_property
    def file_inputs(self) -> frozenset[str]:
        """The inputs that are files, or several."""
        return frozenset(name for name, spec in self.inputs.items() if "uri" in (_format(spec), _format(_items(spec))))

    @cached_property
    def version_id(self) -> str:
        """64 hex digits, always the same for the same model."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def shown_version(self) -> str:
        """What a prediction's `version` reads when it was created by the model's name: some show it, some do not."""
        return self.version_id if "num_inference_steps" in self.inputs or "cfg" in self.inputs else "hidden"

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The OpenAPI document as the service gives it: enums by reference, order in `x-order`."""
        properties: dict[str, Any] = {}
        enums: dict[str, Any] = {}
        for order, (name, spec) in enumerate(self.inputs.items()):
            kept = {key: value for key, value in spec.items() if key not in ("enum", "required")}
            properties[name] = {"type": "string", "title": name.replace("_", " ").title(), **kept, "x-order": order}
            if "enum" in spec:
                properties[name]["allOf"] = [{"$ref": f"#/components/schemas/{name}"}]
                del properties[name]["title"], properties[name]["type"]
                about = {"type": "string", "title": name, "description": "An enumeration."}
                enums[name] = {"enum": spec["enum"], **about}
        required = [name for name, spec in self.inputs.items() if spec.get("required")]
        made = {"type": "object", "title": "Input", "required": required, "properties": properties}
        uri = {"type": "string", "format": "uri"}
        output = {"type": "array", "items": uri} if self.is_list else uri
        if self.output == "text":
            output = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}
            output["x-cog-array-display"] = "concatenate"
        schemas = {"Input": made, "Output": {**output, "title": "Output"}, **enums}
        return {"info": {"title": "Cog", "version": "0.1.0"}, "openapi": "3.0.2", "components": {"schemas": schemas}}

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """Why the service would refuse this input; nothing when it would not. Inputs it does not know it ignores."""
        problems = [
            Problem("required", "input", f"{name} is required")
            for name, spec in self.inputs.items()
            if spec.get("required") and name not in given
        ]
        for name, value in given.items():
            if (spec := self.inputs.get(name)) is None:
                continue
            place, wanted = f"input.{name}", spec.get("type", "string")
            if not _is_a(value, wanted):
                kind = "null" if value is None else next((each for each in _TYPES if _is_a(value, each)), "object")
                problems.append(Problem("invalid_type", place, f"Invalid type. Expected: {wanted}, given: {kind}"))
            elif "enum" in spec and value not in spec["enum"]:
                allowed = ", ".join(f'"{each}"' for each in spec["enum"])
                problems.append(Problem("enum", place, f"{name} must be one of the following: {allowed}"))
            elif "minimum" in spec and value < spec["minimum"]:
                problems.append(Problem("number_gte", place, f"Must be greater than or equal to {spec['minimum']}"))
            elif "maximum" in spec and value > spec["maximum"]:
                problems.append(Problem("number_lte", place, f"Must be less than or equal to {spec['maximum']}"))
            elif len(_listed(value)) > spec.get("maxItems", math.inf):
                reason = f"Array must have at most {spec['maxItems']} items"
                problems.append(Problem("array_max_items", place, reason))
            elif name in self.file_inputs and not all(map(_is_address, _listed(value))):
                problems.append(Problem("format", place, "Does not match format 'uri'"))
        return problems

    def echo(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The input as a reply repeats it: defaults filled in, keys in alphabetical order."""
        defaults = {name: spec["default"] for name, spec in self.inputs.items() if "default" in spec}
        return dict(sorted({**defaults, **given}.items()))

    def pictures(self, filled: Mapping[str, Any]) -> int:
        """How many pictures one prediction makes."""
        if self.output == "text":
            return 0
        is_alone = filled.get("sequential_image_generation") == "disabled"
        counts = [filled[name] for name in _COUNTS if name in filled and not (is_alone and name == "max_images")]
        return math.prod(int(each) for each in counts)

    def extension(self, filled: Mapping[str, Any]) -> str:
        """jpg, png or webp."""
        return _EXTENSIONS.get(str(filled.get("output_format")), self.format)

    def pixels(self, filled: Mapping[str, Any], reference: tuple[int, int] | None = None) -> tuple[int, int]:
        """Width and height of the picture that this input makes; `reference` is the first picture among the inputs."""
        ratio, named = str(filled.get("aspect_ratio")), [str(filled.get(name)) for name in _SIZE_INPUTS]
        if "custom" in (ratio, *named) and {"width", "height"} <= filled.keys():
            return int(filled["width"]), int(filled["height"])
        spelled = [str(filled.get("resolution"))] if ratio in self.sizes else named  # as in "1365x1024"
        for found in filter(None, map(_PIXELS.fullmatch, spelled)):
            return int(found[1]), int(found[2])
        megapixels = self.megapixels
        for text in named:
            if match := _THOUSANDS.fullmatch(text):
                megapixels = float(match[1]) ** 2
            elif match := _MEGAPIXELS.fullmatch(text):
                megapixels = float(match[1])
            elif text == _MATCH and reference:
                megapixels = min(_LARGEST_MATCH, math.prod(reference) / MEGAPIXEL)
        if ratio in self.sizes:
            width, height = self.sizes[ratio]
            return round(width * megapixels**0.5), round(height * megapixels**0.5)
        across, down = reference if ratio == _MATCH and reference else (1, 1)
        if match := _RATIO.fullmatch(ratio):
            across, down = int(match[1]), int(match[2])
        side = math.sqrt(megapixels * MEGAPIXEL / (across * down))
        return tuple(max(64, int(side * each) // _STEP * _STEP) for each in (across, down))  # type: ignore[return-value]


@cache
def catalogue() -> Mapping[str, Model]:
    """Every model by name."""
    tables = json.loads(files("imagen_nb.simulator").joinpath("sizes.json").read_text("utf-8"))
    models = {}
    for file in sorted((files("imagen_nb") / "planning" / "catalogue").iterdir(), key=lambda each: each.name):
        name = file.name.removesuffix(".json").replace("--", "/")
        raw = json.loads(file.read_text("utf-8"))
        own: Mapping[str, Any] = {}
        for table in tables:  # the last that fits is the closest
            own = table if name.startswith(tuple(table["models"])) else own
        models[name] = Model(
            name=name,
            inputs=raw["input"],
            output=raw["output"],
            price=raw["price"],
            seconds=min(_SLOWEST_S, (raw.get("typical_s") or _USUAL_S * _FASTER) / _FASTER),
            **{name: own[name] for name in ("sizes", "megapixels", "format") if name in own},
        )
    return models


def _format(spec: Mapping[str, Any]) -> Any:
    return spec.get("format")


def _items(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(spec.get("items", {}))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"(https?|data):", value) is not None


def _is_a(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[wanted])

"""The models that the simulator offers: their schemas, and what it makes of an input.

`models.json` holds them in a short form of its own; `Model.schema` writes that out in the shape the service uses.
It is apart from the catalogue in `imagen_nb.planning` on purpose, so that a mistake in one cannot hide in the other.
Inputs and values are those of the models' API pages on replicate.com, the pixel sizes those of their outputs.
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
_PIXELS = re.compile(r"(\d{2,5})x(\d{2,5})")
_EXTENSIONS = {"jpg": "jpg", "jpeg": "jpg", "png": "png", "webp": "webp"}


@dataclass(frozen=True)
class Problem:
    """One reason why the service would refuse an input; `type`, `field`, `description` as in `invalid_fields`."""

    type: str
    field: str
    description: str


@dataclass(frozen=True)
class Model:
    """One model: its inputs in the short form of `models.json`, and how large and how slow its pictures are.

    `seconds` is the mean latency of a prediction where none was asked for. `sizes` gives pixels per aspect ratio,
    `scales` the factor that a value of some input puts on them. `count` names the input that asks for several
    pictures. `version` is what a reply says: "hidden", or "hex" for the version's own id.
    """

    name: str
    description: str
    seconds: float
    inputs: Mapping[str, Mapping[str, Any]]
    sizes: Mapping[str, Sequence[int]]
    scales: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    format: str = "jpg"
    is_list: bool = False
    count: str | None = None
    version: str = "hidden"

    @cached_property
    def version_id(self) -> str:
        """64 hex digits, always the same for the same model."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def shown_version(self) -> str:
        """What a prediction's `version` reads when it was created by the model's name."""
        return self.version_id if self.version == "hex" else self.version

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The OpenAPI document as the service gives it: enums by reference, order in `x-order`."""
        properties: dict[str, Any] = {}
        enums: dict[str, Any] = {}
        for order, (name, spec) in enumerate(self.inputs.items()):
            kept = {key: value for key, value in spec.items() if key not in ("enum", "required")}
            properties[name] = {"title": name.replace("_", " ").title(), **kept, "x-order": order}
            if "enum" in spec:
                properties[name]["allOf"] = [{"$ref": f"#/components/schemas/{name}"}]
                del properties[name]["title"]
                about = {"type": "string", "title": name, "description": "An enumeration."}
                enums[name] = {"enum": spec["enum"], **about}
        required = [name for name, spec in self.inputs.items() if spec.get("required")]
        made = {"type": "object", "title": "Input", "required": required, "properties": properties}
        uri = {"type": "string", "format": "uri"}
        output = {"type": "array", "items": uri} if self.is_list else uri
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
        return problems

    def echo(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The input as a reply repeats it: defaults filled in, keys in alphabetical order."""
        defaults = {name: spec["default"] for name, spec in self.inputs.items() if "default" in spec}
        return dict(sorted({**defaults, **given}.items()))

    def pictures(self, filled: Mapping[str, Any]) -> int:
        """How many pictures one prediction makes."""
        if self.count is None or filled.get("sequential_image_generation") == "disabled":
            return 1
        return int(filled.get(self.count, 1))

    def extension(self, filled: Mapping[str, Any]) -> str:
        """jpg, png or webp."""
        return _EXTENSIONS.get(str(filled.get("output_format", self.format)), self.format)

    def pixels(self, filled: Mapping[str, Any]) -> tuple[int, int]:
        """Width and height of the picture that this input makes."""
        ratio = str(filled.get("aspect_ratio", "1:1"))
        if "custom" in (ratio, filled.get("size")) and {"width", "height"} <= filled.keys():
            return int(filled["width"]), int(filled["height"])
        names = ("resolution",) if ratio in self.sizes else ("resolution", "size")
        for name in names:  # pixels where an input spells them out, as in "1365x1024"
            if match := _PIXELS.fullmatch(str(filled.get(name))):
                return int(match[1]), int(match[2])
        width, height = self.sizes.get(ratio, (1024, 1024))
        scale = math.prod(factors.get(str(filled.get(name)), 1) for name, factors in self.scales.items())
        return round(width * scale), round(height * scale)


@cache
def catalogue() -> Mapping[str, Model]:
    """Every model by name."""
    raw = json.loads(files("imagen_nb.simulator").joinpath("models.json").read_text("utf-8"))
    return {name: Model(name=name, **fields) for name, fields in raw.items()}


def _is_a(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[wanted])

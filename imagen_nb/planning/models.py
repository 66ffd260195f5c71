"""What is known of a model: its inputs, their types and limits, and what an image costs.

A `ModelSpec` is read from the API's own schema shape (`openapi_schema` of a model's latest version). `catalogue.json`
holds such schemas for the models that are known without asking, each with its list price in US dollars per output
image, its typical seconds, and where the facts are from. A catalogue entry marked `partial` lists only inputs that are
certain: what it does not name is passed on as given, and the provider has the last word. The catalogue is a copy of
what was published; `spec.with_price` puts a price of one's own in its place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from imagen_nb.errors import InputError, brief, closest, comma_list, did_you_mean
from imagen_nb.planning.inputs import ParamSpec, mapping_or_empty, read_param, resolve_schema
from imagen_nb.planning.values import is_missing

_MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[0-9a-f]{64})?|[0-9a-f]{64}", re.ASCII)
_COUNTS = ("num_outputs", "num_images", "number_of_images", "n")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of one model.

    `params` are its inputs in the schema's order, the prompt among them. `price` is US dollars per output image, or
    None where unknown, and `price_source` says where it is from. `typical_s` is seconds from create to completion, or
    None. `is_validated` is False for a model nobody described; `is_partial` is True where more inputs may exist than
    `params` lists.
    """

    name: str
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    price: float | None = None
    price_source: str | None = None
    typical_s: float | None = None
    is_validated: bool = True
    is_partial: bool = False

    @property
    def is_strict(self) -> bool:
        """Whether an input that `params` does not list is a mistake."""
        return self.is_validated and not self.is_partial

    @property
    def defaults(self) -> dict[str, Any]:
        """The schema's default of every input that has one."""
        return {name: param.default for name, param in self.params.items() if param.default is not None}

    def param(self, name: str) -> ParamSpec | None:
        """The input of that name; one of type `any` where the model may have it; None where it surely has not."""
        return self.params.get(name) or (None if self.is_strict else ParamSpec(name))

    def expect_param(self, name: str) -> ParamSpec:
        """As `param`, but raises `InputError` for an input that the model surely has not."""
        if param := self.param(name):
            return param
        names = tuple(each for each in self.params if each != "prompt")
        raise InputError(
            f"{self.name} has no parameter {name!r}; it has {comma_list(names)}",
            did_you_mean(name, names, "Leave it out, or choose a model that has it."),
        )

    def with_price(self, price: float | None) -> ModelSpec:
        """The same model at another price in US dollars per output image. Raises `InputError` for a bad figure."""
        if price is not None and (
            isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf
        ):
            raise InputError(f"the price of {self.name} is {price!r}", "A price is US dollars per output image: 0.04.")
        return replace(self, price=price, price_source=None if price is None else "prices setting")

    def check_required(self, names: Collection[str]) -> None:
        """Raise `InputError` when a required input is not among `names`."""
        for name, param in self.params.items():
            if param.required and name not in names:
                raise InputError(f"{self.name} needs {name}, which is not given", f"Give {name}: {param.allowed}.")

    def outputs(self, input: Mapping[str, Any]) -> int:  # noqa: A002 - the API's own word
        """How many images this input asks for, at most."""
        count = math.prod(self._count(input, name) for name in _COUNTS)
        if self._value(input, "sequential_image_generation", "auto") == "auto":
            count *= self._count(input, "max_images")
        return count

    @property
    def priced_by(self) -> tuple[str, ...]:
        """The names of the inputs that `outputs` looks at."""
        return (*_COUNTS, "max_images", "sequential_image_generation")

    def estimate(self, input: Mapping[str, Any]) -> float | None:  # noqa: A002 - the API's own word
        """US dollars for one request with this input: price times the number of images asked for, or None."""
        return None if self.price is None else round(self.price * self.outputs(input), 10)

    def _value(self, input: Mapping[str, Any], name: str, otherwise: Any) -> Any:  # noqa: A002 - the API's own word
        if not is_missing(value := input.get(name)):
            return value
        default = self.params[name].default if name in self.params else None
        return otherwise if default is None else default

    def _count(self, input: Mapping[str, Any], name: str) -> int:  # noqa: A002 - the API's own word
        value = self._value(input, name, 1)
        return max(1, value) if isinstance(value, int) else 1


def from_schema(
    name: str,
    openapi_schema: Mapping[str, Any] | None,
    *,
    price: float | None = None,
    typical_s: float | None = None,
    is_partial: bool = False,
) -> ModelSpec:
    """The spec of a model from its OpenAPI schema; one without a readable Input schema is `unvalidated`.

    `price` is US dollars per output image, `typical_s` seconds. Enums behind `allOf`, `anyOf` and `$ref` are followed;
    a property that cannot be read is of type `any`.
    """
    components = mapping_or_empty(mapping_or_empty(openapi_schema).get("components"))
    schemas = mapping_or_empty(components.get("schemas"))
    shape = resolve_schema(schemas.get("Input"), schemas)
    properties = mapping_or_empty(shape.get("properties"))
    required = shape.get("required")
    required = required if isinstance(required, list) else ()
    params = [read_param(key, resolve_schema(value, schemas), key in required) for key, value in properties.items()]
    params.sort(key=lambda param: param.order)
    return ModelSpec(
        name,
        {param.name: param for param in params},
        price=price,
        price_source=None if price is None else "list price",
        typical_s=typical_s,
        is_validated=bool(params),
        is_partial=is_partial,
    )


def unknown_spec(name: str) -> ModelSpec:
    """The spec of a model nobody described: its inputs are passed on as given, its price is unknown."""
    return ModelSpec(name, is_validated=False)


def catalogue_names() -> tuple[str, ...]:
    """The names of the models in the catalogue."""
    return tuple(_catalogue())


@cache
def catalogue_spec(name: str) -> ModelSpec | None:
    """The catalogue's spec of a model, or None for one that is not in it."""
    entry = _catalogue().get(name)
    if entry is None:
        return None
    return from_schema(
        name,
        entry["openapi_schema"],
        price=entry["price_usd"],
        typical_s=entry["typical_s"],
        is_partial=entry.get("partial", False),
    )


def check_model_name(name: str) -> str:
    """The name without surrounding space: `owner/name`, `owner/name:version` or a version of 64 hex digits.

    Raises `InputError` for anything else.
    """
    text = name.strip() if isinstance(name, str) else ""
    if _MODEL_NAME.fullmatch(text):
        return text
    tails = {model.partition("/")[2]: model for model in catalogue_names()}
    guess = closest(text, (*catalogue_names(), *tails))
    raise InputError(
        f"{brief(name)} is not a model's name: owner/name, owner/name:version or a version of 64 hex digits",
        f"Did you mean {tails.get(guess, guess)}?" if guess else f"Known models: {comma_list(catalogue_names())}.",
    )


def cost_of(spec: ModelSpec, input: Mapping[str, Any], n_images: int) -> float | None:  # noqa: A002 - the API's own word
    """US dollars for a prediction that succeeded with `n_images` images, or None where the price is unknown.

    0 images means that they were not counted (gone before they were fetched): then the estimate stands.
    """
    if spec.price is None or n_images < 1:
        return spec.estimate(input)
    return round(spec.price * n_images, 10)


def empty_prompt(where: str = "the prompt") -> InputError:
    """The error for a prompt with nothing in it."""
    return InputError(f"{where} is empty", "Write what the image should show.")


@cache
def _catalogue() -> dict[str, Any]:
    models: dict[str, Any] = json.loads(files("imagen_nb.planning").joinpath("catalogue.json").read_text("utf-8"))[
        "models"
    ]
    return models

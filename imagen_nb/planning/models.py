"""What is known of a model: its inputs, their types and limits, what it answers with, and what that costs.

A `ModelSpec` is read from the API's own schema shape (`openapi_schema` of a model's latest version). The folder
`catalogue` has a file for each model that is known without asking, `owner--name.json`, in a shorter form:

    source      where the facts are from, and which were not verified
    price       a rule as in `prices`, the list price of the service itself; null where it is unknown
    typical_s   seconds from create to completion, or null
    output      `picture`, `pictures` (the reply holds a list) or `text`
    partial     true where more inputs may exist: what is not named is passed on, and the provider has the last word
    retired_on  the day on which its publisher shut it down, with the `successor` that the publisher names
    input       the properties of the schema's Input, in order; without a `type` it is text, an `enum` stands in place,
                and `required` is true or left out

It is a copy of what was published; `spec.with_price` puts a price of one's own in its place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from imagen_nb.errors import Hint, InputError, brief, closest, comma_list, did_you_mean
from imagen_nb.planning.inputs import ParamSpec, mapping_or_empty, read_param, resolve_schema
from imagen_nb.planning.prices import MEGAPIXEL, SIZE_INPUTS, Price, asked_mp, files_mp, read_price, size_note
from imagen_nb.planning.values import is_missing

_MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[0-9a-f]{64})?|[0-9a-f]{64}", re.ASCII)
_COUNTS = ("num_outputs", "num_images", "number_of_images", "n")
MODELS_HINT = Hint("{} lists the known ones.", "imagen_nb.models()", "imagen-nb models")

TOKEN_LIMITS = ("max_tokens", "max_output_tokens", "max_completion_tokens")
"""The inputs that limit an answer in words."""

PICTURE_TOKENS = 5000
"""As how many tokens a picture counts at most where nobody has told yet."""

local_names: set[str] = set()
"""The models of servers on one's own machine, which have no owner's name; they are met as they are used."""

_FOLDER = files("imagen_nb.planning").joinpath("catalogue")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of one model.

    `params` are its inputs in the schema's order, the prompt among them. `price` is the rule of what it costs, or None
    where unknown, and `price_source` says where that is from. `typical_s` is seconds from create to completion, or
    None. `output` is picture, pictures or text, or None where unknown. `is_validated` is False for a model nobody
    described; `is_partial` is True where more inputs may exist than `params` lists. `source` says where the facts are
    from. `retired_on` is the day on which it was shut down, as `2026-08-17`, and `successor` the model that its
    publisher names.
    """

    name: str
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    price: Price | None = None
    price_source: str | None = None
    typical_s: float | None = None
    output: str | None = None
    is_validated: bool = True
    is_partial: bool = False
    source: str | None = None
    retired_on: str | None = None
    successor: str | None = None

    @property
    def is_strict(self) -> bool:
        """Whether an input that `params` does not list is a mistake."""
        return self.is_validated and not self.is_partial

    @property
    def retirement(self) -> tuple[str, str] | None:
        """That it was shut down and what follows it, and how to choose that; None for a model that lives."""
        if self.retired_on is None:
            return None
        day = date.fromisoformat(self.retired_on)
        said = f"{self.name} was shut down by its publisher on {day.day} {day:%B %Y}; {self.successor} follows it"
        return said, f"Choose that with -m {self.successor}, in Python with model={self.successor!r}."

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

    def with_price(self, price: Any) -> ModelSpec:
        """The same model at another price: US dollars an output image, a rule (see `prices`), or None.

        Raises `InputError` for what is no price, and for one by an input that the model surely has not.
        """
        made = read_price(self.name, price)
        names = tuple(self.params)
        for by in made.by if made else ():
            if self.param(by) is None:
                raise InputError(
                    f"the price of {self.name} goes by {by!r}, which is no input of it; it has {comma_list(names)}",
                    did_you_mean(by, names, "Let it go by an input that the model has."),
                )
        return replace(self, price=made, price_source=None if made is None else "prices setting")

    def check_required(self, names: Collection[str]) -> None:
        """Raise `InputError` when a required input is not among `names`."""
        for name, param in self.params.items():
            if param.required and name not in names:
                raise InputError(f"{self.name} needs {name}, which is not given", f"Give {name}: {param.allowed}.")

    def outputs(self, input: Mapping[str, Any]) -> int:  # noqa: A002 - the API's own word
        """How many images this input asks for, at most."""
        if self.output == "text":
            return 0
        values = self.filled(input)
        names = _COUNTS if values.get("sequential_image_generation", "auto") != "auto" else (*_COUNTS, "max_images")
        counts = [values.get(name) for name in names]
        return math.prod(max(1, count) for count in counts if isinstance(count, int))

    @property
    def priced_by(self) -> frozenset[str]:
        """The names of the inputs that an estimate looks at."""
        if self.price is None:
            return frozenset()
        names = {*_COUNTS, "max_images", "sequential_image_generation", *self.price.by}
        names |= set(SIZE_INPUTS) if "output_mp" in self.price.terms else set()
        if "input_mp" in self.price.terms:
            names |= {name for name, param in self.params.items() if param.is_file or param.type == "any"}
        return frozenset(names)

    def estimate(self, input: Mapping[str, Any]) -> float | None:  # noqa: A002 - the API's own word
        """US dollars for one request with this input, on the dear side (see `prices`); None where it is unknown."""
        return self.cost(input, self.outputs(input)) if self.price and self.price.is_known_before else None

    def most(self, input: Mapping[str, Any]) -> float | None:  # noqa: A002 - the API's own word
        """US dollars for one request at most: the estimate, or by tokens, as many as its words, files and limit make.

        None where the price is unknown, and where such a model has no limit.
        """
        limit = next((input[name] for name in TOKEN_LIMITS if isinstance(input.get(name), int)), None)
        if self.price is None or self.price.is_known_before or limit is None:
            return self.estimate(input)
        words = sum(len(value.encode("utf-8", "replace")) for value in input.values() if isinstance(value, str))
        files = PICTURE_TOKENS * len(files_mp(input))
        return self.cost(input, 0, (), {"input_token_count": words + files, "output_token_count": limit})

    def cost(
        self,
        input: Mapping[str, Any],  # noqa: A002 - the API's own word
        count: int,
        sizes: Sequence[tuple[int, int]] = (),
        metrics: Mapping[str, Any] | None = None,
    ) -> float | None:
        """US dollars for `count` images, those of `sizes` (width and height) being known; None where it is unknown.

        `metrics` are the reply's figures. What is not known counts as what was asked for.
        """
        if (price := self.price) is None:
            return None
        values = self.filled(input)
        made = [width * height / MEGAPIXEL for width, height in sizes]
        rest = max(0, count - len(made)) * price.billed_mp(asked_mp(values, self.params))
        return price.total(
            values,
            {
                **mapping_or_empty(metrics),
                "run": 1,
                "image": count,
                "output_mp": sum(map(price.billed_mp, made)) + rest,
                "input_mp": sum(map(price.billed_mp, files_mp(values))),
            },
        )

    def reply_note(
        self,
        input: Mapping[str, Any],  # noqa: A002 - the API's own word
        answered_by: str | None,
        count: int,
        sizes: Sequence[tuple[int, int]],
        metrics: Mapping[str, Any] | None,
    ) -> str | None:
        """What of a reply is not as asked for, in words: the model, how many images, or their size; else None."""
        notes = []
        asked = self.name.partition(":")[0]
        if answered_by and "/" in asked and "/" in answered_by and asked.casefold() not in answered_by.casefold():
            notes.append(f"{answered_by} answered in place of {asked}")
        elif "fallback" in mapping_or_empty(metrics).values():  # as the service marks it where `model` stays the same
            notes.append(f"a fallback model answered in place of {asked}")
        wanted, values = self.outputs(input), self.filled(input)
        is_open = values.get("sequential_image_generation") == "auto"  # then it is the most that may come
        if self.is_validated and count and (count > wanted or (count < wanted and not is_open)):
            notes.append(
                f"{count} image{'s' * (count != 1)} came, {wanted} {'was' if wanted == 1 else 'were'} asked for"
            )
        return "; ".join([*notes, *filter(None, [size_note(input, sizes)])]) or None

    def filled(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002 - the API's own word
        """The input with the schema's defaults where nothing is given."""
        return {**self.defaults, **{name: value for name, value in input.items() if not is_missing(value)}}


def from_schema(name: str, openapi_schema: Mapping[str, Any] | None) -> ModelSpec:
    """The spec of a model from its OpenAPI schema; one without a readable Input schema is `unvalidated`.

    Enums behind `allOf`, `anyOf` and `$ref` are followed; a property that cannot be read is of type `any`.
    """
    components = mapping_or_empty(mapping_or_empty(openapi_schema).get("components"))
    schemas = mapping_or_empty(components.get("schemas"))
    shape = resolve_schema(schemas.get("Input"), schemas)
    properties = mapping_or_empty(shape.get("properties"))
    required = shape.get("required")
    required = required if isinstance(required, list) else ()
    params = [read_param(key, resolve_schema(value, schemas), key in required) for key, value in properties.items()]
    params.sort(key=lambda param: param.order)
    output = _output(resolve_schema(schemas.get("Output"), schemas)) if "Output" in schemas else None
    return ModelSpec(name, {param.name: param for param in params}, output=output, is_validated=bool(params))


def _output(shape: Mapping[str, Any]) -> str:
    """What a model answers with, by its schema's Output: text is a string, or a list of them, that is no address."""
    items = mapping_or_empty(shape.get("items")) if shape.get("type") == "array" else shape
    if items.get("type") == "string" and items.get("format") != "uri":
        return "text"
    return "picture" if items is shape else "pictures"


def unknown_spec(name: str) -> ModelSpec:
    """The spec of a model nobody described: its inputs are passed on as given, its price is unknown."""
    return ModelSpec(name, is_validated=False)


@cache
def catalogue_names() -> tuple[str, ...]:
    """The names of the models in the catalogue: first those that make pictures, then text, and retired ones last."""
    specs = [spec for name in sorted(_names()) if (spec := catalogue_spec(name))]
    specs.sort(key=lambda spec: (spec.retired_on is not None, spec.output == "text"))
    return tuple(spec.name for spec in specs)


@cache
def catalogue_spec(name: str) -> ModelSpec | None:
    """The catalogue's spec of a model, or None for one that is not in it."""
    if name not in _names():
        return None
    entry = json.loads(_FOLDER.joinpath(f"{name.replace('/', '--')}.json").read_text("utf-8"))
    properties = {key: {"type": "string", **shape} for key, shape in entry["input"].items()}
    required = [key for key, shape in properties.items() if shape.pop("required", False)]
    schema = {"components": {"schemas": {"Input": {"properties": properties, "required": required}}}}
    return replace(
        from_schema(name, schema),
        price=read_price(name, entry["price"]),
        price_source=None if entry["price"] is None else "list price",
        typical_s=entry["typical_s"],
        output=entry["output"],
        is_partial=entry.get("partial", False),
        source=entry["source"],
        retired_on=entry.get("retired_on"),
        successor=entry.get("successor"),
    )


@cache
def _names() -> frozenset[str]:
    return frozenset(file.name.removesuffix(".json").replace("--", "/", 1) for file in _FOLDER.iterdir())


def check_model_name(name: str) -> str:
    """The name without surrounding space: `owner/name`, `owner/name:version` or a version of 64 hex digits.

    Raises `InputError` for anything else.
    """
    text = name.strip() if isinstance(name, str) else ""
    if _MODEL_NAME.fullmatch(text) or text in local_names:
        return text
    tails = {model.partition("/")[2]: model for model in catalogue_names()}
    guess = closest(text, (*catalogue_names(), *tails))
    raise InputError(
        f"{brief(name)} is not a model's name: owner/name, owner/name:version or a version of 64 hex digits",
        f"Did you mean {tails.get(guess, guess)}?" if guess else MODELS_HINT,
    )


def empty_prompt(where: str = "the prompt") -> InputError:
    """The error for a prompt with nothing in it."""
    return InputError(f"{where} is empty", "Write what the image should show.")

"""The words of other tools, and what to write here instead: one table for magic, Python, command line and panel.

It is asked only about a name that is neither a slot of the prompt nor an input of the model: a model that has
`num_outputs` keeps it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import brief, comma_list, did_you_mean

if TYPE_CHECKING:
    from imagen_nb.planning.models import ModelSpec

_SHOWN = 3
_SIZE = re.compile(r"(\d+)(?:\s*[x*\u00d7]\s*(\d+))?")

_WORDS: Mapping[str, str] = {
    # how many, how large, in which format: OpenAI's words, Replicate's, diffusers', AUTOMATIC1111's, Midjourney's
    "repeat": "n num_images num_outputs number_of_images num_images_per_prompt num_samples batch_size batch_count "
    "n_iter count repeats images_per_prompt",
    "aspect_ratio size": "ar aspect ratio size width height w h dimensions",
    "resolution image_size aspect_ratio": "resolution",
    "output_format": "format response_format output_type file_format",
    "quality output_quality": "quality q",
    # how the model works
    "seed": "seed generator random_seed noise_seed",
    "negative_prompt": "negative_prompt no negative neg_prompt uncond",
    "num_inference_steps steps": "steps num_steps num_inference_steps sampling_steps",
    "guidance guidance_scale cfg": "guidance_scale guidance cfg_scale cfg scale",
    "Known models choose their sampler themselves.": "sampler sampler_name sampler_index scheduler",
    "prompt_strength strength": "denoising_strength strength image_strength iw",
    "image image_input input_images": "image init_image input_image images sref cref",
    "safety_filter_level safety_tolerance": "safety_checker safety_settings moderation",
    # how a request is made
    "model": "model_id model_name ckpt checkpoint engine version",
    "experiment": "name project run_name group",
    "tag": "tags label user",
    "jobs": "max_workers num_workers concurrency n_jobs parallel",
    "budget": "max_cost max_price limit",
    "background": "asynchronous nowait non_blocking blocking",
    "plan() shows what would be sent, and sends nothing.": "dry dry_run",
    "A call waits for the end by itself; with background=True run() returns at once, and --background does.": "wait",
    "Images show as they come by themselves.": "stream",
    "Every image is kept by itself, and its path shown with it; in Python, image.save(path) copies it.": "o out save "
    "output save_path output_path output_dir outdir filename use_file_output",
    "A token comes from the provider's variable, or from login(), which asks for it.": "api_key api_token token key",
    "The prompt stands behind the options, as it is.": "prompt text positive_prompt",
    "imagen_nb.models() lists the models.": "models list_models",
}
"""Our words, the likeliest first (options, and inputs of models), to those of others; or a sentence with a dot."""

HABITS: Mapping[str, str] = {word: ours for ours, words in _WORDS.items() for word in words.split()}

_VERBS: Mapping[str, str] = {
    "generate() makes one image, run() several.": "predict predictions create create_image images image imagine edit "
    "text_to_image image_to_image generate_image generate_images txt2img img2img ask pipe pipeline stream async_run "
    "Client OpenAI Replicate InferenceClient DiffusionPipeline",
    "frame() is the log, and frame().imagen shows its pictures.": "log history runs show table gallery grid compare "
    "report export summary",
}
"""What to call instead of what other tools have, and of what a frame has."""

OPTIONS = frozenset(
    ("repeat", "model", "experiment", "tag", "budget", "resume", "jobs", "timeout", "executor", "background")
)
"""Those of our words that are options, whatever the model."""


def as_keyword(name: str, value: object) -> str:
    """One of our words with its value, as one writes it in Python."""
    text = f"{name}={brief(value)}" if isinstance(value, str | int | float | list | tuple) else f"{name}="
    return f"{text} in run() or plan(), as generate() makes one image" if name == "repeat" else text


def advice(
    word: str,
    value: object,
    specs: Sequence[ModelSpec] = (),
    write: Callable[[str, Any], str] = as_keyword,
    options: Collection[str] = OPTIONS,
) -> str | None:
    """What to write instead of another tool's word: the hint of an error, or None for a word of nobody's.

    `specs` are the models asked; of an input that none of them has it says which of the catalogue have it. `options`
    are those of our words that need no model where the mistake was made, and `write` gives any of our words with its
    value as it is written there, "" where it cannot be.
    """
    from imagen_nb.planning.models import catalogue_names, catalogue_spec

    word = word.lower().replace("-", "_")
    ours = HABITS.get(word, word)
    if ours.endswith("."):
        return ours
    values = {name: _ratio(value) if name == "aspect_ratio" else value for name in ours.split()}
    written = {name: text for name, given in values.items() if (text := write(name, given))}
    for name, text in written.items():
        param = next((spec.params[name] for spec in specs if name in spec.params), None)
        if param and param.enum is not None and values[name] not in param.enum:
            return f"It is {name} here: {param.allowed}."
        if param or name in options:
            return f"Write {text}."
    known = [spec for name in catalogue_names() if (spec := catalogue_spec(name))]
    having = {name: [spec.name for spec in known if name in spec.params] for name in written}
    said = [f"{written[name]} works with {comma_list(names, shown=_SHOWN)}" for name, names in having.items() if names]
    return f"{'; '.join(said)}." if said else None


def verb_for(name: str, known: Sequence[str]) -> str:
    """What to call instead of a function that the package does not have: one of `known`, or of another tool's."""
    otherwise = f"It has {comma_list(known, shown=len(known))}."
    return next((ours for ours, words in _VERBS.items() if name in words.split()), did_you_mean(name, known, otherwise))


def _ratio(value: object) -> object:
    """The shape of a size, 16:9 of 1920x1080, `W:H` of one number; anything else as it is."""
    size = _SIZE.fullmatch(str(value))
    if size is None:
        return value
    width, height = int(size[1]), int(size[2] or 0)
    common = math.gcd(width, height) if height else 0
    return f"{width // common}:{height // common}" if common else "W:H"

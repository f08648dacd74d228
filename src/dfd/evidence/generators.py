"""Signs by which a text of a picture is known to come from an image generator, or to name one."""

import re

from dfd.evidence.text import clean

QUOTED = 120  # characters of a text that are quoted
BEFORE = 40  # of them before a name
# What a generator's text has to look like under the name that it gives it: many of the names are ordinary words.
CONTENT = {
    "workflow": ("ComfyUI", re.compile(r"\"nodes\"\s*:\s*\[|\"class_type\"\s*:\s*\"")),
    "prompt": ("ComfyUI", re.compile(r"\"class_type\"\s*:\s*\"")),
    "invokeai_metadata": ("InvokeAI", re.compile(r"\A\s*\{")),
    "invokeai_graph": ("InvokeAI", re.compile(r"\A\s*\{")),
    "sd-metadata": ("InvokeAI", re.compile(r"\"(?:model_weights|app_id|cfg_scale|sampler)\"\s*:")),
    "dream": ("InvokeAI", re.compile(r"\s-s ?\d{1,6}\b.{0,80}\s-S ?\d", re.DOTALL)),
    "fooocus_scheme": ("Fooocus", re.compile(r"\A\s*(?:fooocus|a1111)\s*\Z")),
    "generation_data": ("a Stable Diffusion service", re.compile(r"\"(?:cfgScale|samplerName|baseModel)\"\s*:")),
}
PARAMETERS = re.compile(r"\bSteps: \d{1,6}.{0,200}\b(Sampler|CFG scale|Seed): ", re.DOTALL)
# The same as JSON, as NovelAI and Fooocus write it; all of them, as "steps" or "sampler" alone may be anything.
JSON_PARAMETERS = [re.compile(rf"\"{name}\"\s*:\s*\"?[\w-]") for name in ("steps", "seed", "sampler")]
MIDJOURNEY = re.compile(r"\bJob ID: [0-9a-f]{8}-[0-9a-f-]{27}")
# Names that are ordinary words elsewhere ("imagen" is Spanish for picture, "dalle 2" Italian for from the 2) need more.
NAMES = re.compile(
    r"\b(?:stable diffusion|midjourney|dall[-‐‑·∙•⋅]e|dalle[23]|dall e ?[23]|novelai|comfyui|invokeai|automatic1111|"
    r"fooocus|adobe firefly|made with google ai|google imagen|imagen-\d\.\d|dreamstudio\.ai|leonardo\.?ai|"
    r"bing image creator|gpt-image|flux\.1)(?![^\W\d_])",
    re.IGNORECASE,
)
# IPTC defines this field as the system used to generate the image, so the name has to be all but the whole of it.
AI_SYSTEM = "Iptc4xmpExt:AISystemUsed"
AI_SYSTEMS = re.compile(rf"\s*(?:openai |chatgpt )?(?:{NAMES.pattern}|imagen[ -]?\d)", re.IGNORECASE)


def wrote(key: str, text: str) -> str:
    """The generator that a text with this name comes from, by its form; '' if it is not known to come from one."""
    program, content = CONTENT.get(key.lower(), ("", None))
    if content and content.search(text):
        return program
    if PARAMETERS.search(text) or all(each.search(text) for each in JSON_PARAMETERS):
        return "settings of a Stable Diffusion program"
    if MIDJOURNEY.search(text):
        return "Midjourney"
    system = AI_SYSTEMS.match(text) if key == AI_SYSTEM else None
    return clean(system[0], 40) if system else ""


def mention(text: str) -> str:
    """The part of a free text that has a generator's name in it, for whatever reason; '' if none has."""
    found = NAMES.search(text)
    if not found:
        return ""
    start = max(found.start() - BEFORE, 0) if len(text) > QUOTED else 0
    return clean(f"{'…' if start else ''}{text[start:]}", QUOTED)

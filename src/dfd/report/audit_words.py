"""An audit's figures in words: shared by the page and the table on screen."""

from typing import Any

from dfd.evaluation.wording import number
from dfd.report.words import interval, percent, printable

Figures = dict[str, Any]  # what `dfd data audit` writes to audit.json

LEVELS = {
    "clean": "nothing found",
    "slight": "slight",
    "warning": "warning",
    "severe": "severe",
    "reference": "for comparison",
}
NAMES = {
    "format": "Format",
    "quantisation": "JPEG quantisation",
    "size": "Size",
    "bytes_per_pixel": "Bytes per pixel",
    "metadata": "Metadata",
    "colour": "Colour",
    "thumbnail": "Thumbnail",
    "blurred": "Blurred content",
    "all": "All of these",
    "encoder_sharp": "Encoder, sharp",
}
FORM = ("format", "quantisation", "size", "bytes_per_pixel", "metadata")  # of the file, not of the picture
CHANCE = 0.5  # AUROC of guessing
COARSE = ("thumbnail", "blurred")
SEEN_SHARP = "encoder_sharp"  # may hold traces of forgery, so it is no nuisance


def name_of(key: str) -> str:
    """A set's name for people, such as 'Encoder, 20 px'."""
    return NAMES.get(key) or f"Encoder, {key.rpartition('_')[2]} px"


def tale(each: dict[str, Any]) -> str:
    """One difference between the classes, such as 'tag Software: 98% of fakes, 0% of reals'."""
    column, fakes, reals = printable(each["column"]), each["fakes"], each["reals"]
    if each["kind"] == "share":
        return f"{column}: {percent(fakes)} of fakes, {percent(reals)} of reals"
    if each["kind"] == "value":
        told = [f"{value:.4g} in {percent(share)} of the {name}" for name, (value, share) in _classes(each)]
        return f"{column}: {', '.join(told)}"
    told = [f"{middle:.4g} in {name} ({low:.4g}–{high:.4g})" for name, (low, middle, high) in _classes(each)]
    return f"{column}, median and middle half: {', '.join(told)}"


def _classes(each: dict[str, Any]) -> list[tuple[str, list[float]]]:
    return [("fakes", each["fakes"]), ("reals", each["reals"])]


def summary(figures: Figures) -> list[str]:
    """What the audit found, for a reader who does not know the terms."""
    return [*_form(figures), *_picture(figures), *_encoder(figures), *_bundle(figures)]


def _form(figures: Figures) -> list[str]:
    """What the files give away by themselves."""
    found = [key for key in FORM if figures["sets"][key]["level"] != "clean"]
    if not found:
        worst = max(figures["sets"][key]["auroc"]["high"] for key in FORM)
        return [
            "The files' form (format, compression, size, bytes, metadata) does not give the label away: no set of it "
            f"does better than chance would. A score of up to {number(worst)} could have been missed."
        ]
    lines = []
    for key in found:
        each = figures["sets"][key]
        tales = f" What differs: {'; '.join(tale(one) for one in each['telling'])}." if each["telling"] else ""
        lines.append(
            f"{name_of(key)} ({each['level']}): it tells fakes from reals at an AUROC of "
            f"{number(each['auroc']['value'])} ({interval(each['auroc'])}), without a look at the picture.{tales}"
        )
    lines.append(
        "A detector trained on these files can score by this alone, and will fail on files that were made otherwise. "
        "Save both classes alike (same size, format and quality, no metadata) before training, and test on other data."
    )
    return lines


def _picture(figures: Figures) -> list[str]:
    """What colours and coarse content give away."""
    found = [key for key in ("colour", *COARSE) if figures["sets"][key]["level"] != "clean"]
    if not found:
        return ["Colours and coarse content do not give the label away."]
    told = ", ".join(f"{name_of(key).lower()} {number(figures['sets'][key]['auroc']['value'])}" for key in found)
    line = f"The pictures differ between the classes in colour or coarse content (AUROC: {told})."
    if set(found) & set(COARSE):
        line += (
            " In so few pixels no trace of editing can survive: what they tell is who is shown and how, such as light, "
            "background and framing."
        )
    return [line]


def _encoder(figures: Figures) -> list[str]:
    encoder = figures["encoder"]
    if encoder is None:
        return ["No encoder was asked for: what a large network sees in blurred images is not known."]
    if "missing" in encoder:
        return [
            f"Not measured: what {encoder['name']} sees in blurred images, which is often the largest shortcut. Its "
            "weights are not at hand; encoder.weights=FILE.safetensors names a local copy."
        ]
    lines = []
    keys = [key for key in figures["sets"] if key.startswith("encoder_") and key != SEEN_SHARP]
    for key in keys:
        each = figures["sets"][key]
        value = f"{number(each['auroc']['value'])} ({interval(each['auroc'])})"
        width = key.rpartition("_")[2]
        if each["level"] == "clean":
            lines.append(f"From images {width} px wide {encoder['name']} cannot tell fakes from reals: AUROC {value}.")
        else:
            hint = "A detector that scores no higher than this need not have seen any forgery."
            if key != keys[0]:
                hint = "Some of that may be coarse editing, if it still shows at this size."
            lines.append(
                f"From images {width} px wide {encoder['name']} tells fakes from reals at an AUROC of {value}. {hint}"
            )
    for name, figure in figures["conditional"].items():
        if name.startswith(SEEN_SHARP) and figure["value"] is not None:
            sharp = figures["sets"][SEEN_SHARP]["auroc"]["value"]
            lines.append(
                f"Sharp images give it {number(sharp)}; among images alike at {keys[0].rpartition('_')[2]} px "
                f"{number(figure['value'])} ({interval(figure)}) is left: forgery, or finer shortcuts."
            )
    return lines


def _bundle(figures: Figures) -> list[str]:
    bundle = figures["bundle"]
    if bundle is None:
        return []
    drop, after, conditional = bundle["drop"], bundle["after"], bundle["conditional"]
    sure = "" if drop["low"] > 0 or drop["high"] < 0 else ", which may be chance"
    lines = [
        f"{bundle['name']} scores an AUROC of {number(bundle['before']['value'])} on images it has not seen. With all "
        f"of them cut to {bundle['side']} px squares and saved at JPEG quality {bundle['quality']} it "
        f"scores {number(after['value'])} ({interval(after)}): {_moved(drop)}{sure}."
    ]
    if conditional["value"] is None:
        lines.append(f"What it knows beyond the shortcuts cannot be told: {conditional['reason']}.")
    else:
        beyond = (
            "this is what it knows beyond them" if conditional["low"] > CHANCE else "it may know nothing beyond them"
        )
        lines.append(
            f"Among images that the shortcuts cannot tell apart it scores {number(conditional['value'])} "
            f"({interval(conditional)}): {beyond}."
        )
    return lines


def _moved(drop: dict[str, Any]) -> str:
    word = "a drop" if drop["value"] >= 0 else "a gain"
    low, high = sorted((drop["low"], drop["high"])) if drop["value"] >= 0 else sorted((-drop["high"], -drop["low"]))
    return f"{word} of {abs(drop['value']):.3f} ({low:.3f} to {high:.3f})"


def cautions(figures: Figures) -> list[str]:
    """What the figures do not say."""
    lines = [
        "A clean audit shows that these classifiers found no shortcut in these images, not that there is none.",
        "A shortcut in the data does not prove that a detector uses it; the conditional AUROC of a detector says more.",
        f"A set counts as found if chance would do as well in at most {percent(figures['chance'])} of clean data sets, "
        "all sets taken together.",
        "The intervals are about which images were drawn, not about which data set was collected.",
    ]
    if figures["bundle"]:
        lines.append(
            "Saving all images again removes differences in size and metadata, but not every trace of how an image was "
            "compressed before; and it removes traces of forgery too. So a drop is not all shortcut."
        )
        lines.append(
            "The conditional AUROC is only as good as the nuisance score: shortcuts that it does not know stay in it."
        )
    return lines

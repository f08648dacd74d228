"""The parts of the evidence as sentences, the weightiest first."""

from collections.abc import Iterator

from dfd.evidence.camera import ALIKE, MOST_BYTES, Camera
from dfd.evidence.container import HARMLESS, Container
from dfd.evidence.credentials import NO_LIST, Credentials
from dfd.evidence.finding import ORDER, Finding
from dfd.evidence.history import History
from dfd.evidence.jpeg import Encoding
from dfd.evidence.origin import GENERATED, PARTLY, Entry, Origin

NAMED = 4  # entries in a sentence


def all_of(
    container: Container,
    jpeg: Encoding | None,
    history: History | None,
    camera: Camera | None,
    origin: Origin | None,
    credentials: Credentials | None,
    whole: bool = True,
) -> tuple[Finding, ...]:
    """All sentences on a file; `whole` says that no part of it failed to be read."""
    found = [
        *_credentials(credentials),
        *(_origin(origin) if origin else ()),
        *_container(container),
        *(_camera(camera) if camera else ()),
        *(_jpeg(jpeg) if jpeg else ()),
        *(_history(history) if history and history.found else ()),
        *(_nothing(camera, origin, credentials) if camera and origin and whole else ()),
    ]
    return tuple(sorted(found, key=lambda finding: ORDER[finding.level]))


def _credentials(found: Credentials | None) -> Iterator[Finding]:
    if found is None:
        return
    if found.state == "unreadable":
        yield Finding(
            "credentials", "notable", f"Content credentials are there, but can't be read: {_list(found.problems)}."
        )
        return
    signer = f"signed in the name of ‘{found.signer}’" if found.signer else "signed by someone unnamed"
    program = f" with {found.generator}" if found.generator else ""
    when = f" at {found.signed}" if found.signed else ""
    if found.state == "invalid":
        yield _invalid(found, f"Content credentials, {signer}{program}{when},")
        return
    check = (
        "The signer is on the list of trusted ones"
        if found.state == "trusted"
        else "No list of trusted signers is built in, so the name itself is not confirmed"
    )
    yield Finding(
        "credentials",
        "strong" if found.generated else "notable",
        f"Content credentials, {signer}{program}{when}, are intact: picture and statements are as they were signed. "
        f"{check}.",
    )
    if found.generated:
        what = "was made by a generator" if found.generated == "yes" else "is in part the work of a generator"
        yield Finding("credentials", "strong", f"They say that the picture {what} ({_list(found.source_types)}).")
    if found.actions:
        yield Finding("credentials", "plain", f"Steps they tell of: {_list(found.actions)}.")


def _invalid(found: Credentials, subject: str) -> Finding:
    problems = _list([problem for problem in found.problems if problem != NO_LIST])
    words = (
        f"do not fit this file: the picture or they themselves were changed after signing ({problems}). Nothing they "
        "say can be relied on."
        if found.changed
        else f"could not be confirmed ({problems}). This does not say that the picture was changed."
    )
    return Finding("credentials", "notable", f"{subject} {words}")


def _origin(found: Origin) -> Iterator[Finding]:
    if found.generated:
        types = set(found.source_types)
        partly = bool(types & set(PARTLY)) and not types & set(GENERATED)
        made = "has parts from a generator" if partly else "was made by a generator"
        yield Finding(
            "origin",
            "strong",
            f"An entry in the file says that it {made}: {_entries(found.generated)}. Such entries are easily added "
            "and removed.",
        )
    if found.named:
        yield Finding(
            "origin",
            "notable",
            f"An entry names a generator: {_entries(found.named)}. Read how it is meant: a name alone does not say "
            "that the picture was made with it.",
        )
    if found.software:
        yield Finding("origin", "plain", f"Programs and texts named in the file: {_entries(found.software)}.")
    others = [kind for kind in found.source_types if kind not in {entry.what for entry in found.generated}]
    if others:
        yield Finding("origin", "plain", f"Digital source type by the file: {_list(others)}.")
    if found.remote:
        yield Finding(
            "origin",
            "notable",
            f"The file says that its content credentials lie on {found.remote}. They were not fetched.",
        )


def _container(found: Container) -> Iterator[Finding]:
    if found.misnamed:
        yield Finding("container", "notable", f"The name says {found.by_suffix}, but the content is {found.format}.")
    if found.foreign:
        yield Finding(
            "container",
            "notable",
            f"The file can also be read as {_list(found.foreign)}. Open it with care.",
        )
    if found.trailing and found.trailing_kind not in found.foreign:
        what = f", {found.trailing_kind}" if found.trailing_kind else ""
        harmless = " as cameras and phones add it" if found.trailing_kind in HARMLESS else ""
        yield Finding(
            "container",
            "plain" if harmless else "notable",
            f"{found.trailing:,} bytes follow behind the end of the picture{what}{harmless}.",
        )
    if found.complete is False:
        yield Finding(
            "container",
            "notable",
            "The end of the picture was not found: the file was cut off, or is not built as its standard says.",
        )


def _camera(found: Camera) -> Iterator[Finding]:
    if found.bytes > MOST_BYTES:
        yield Finding(
            "camera", "notable", f"An EXIF block of {found.bytes:,} bytes was not read; cameras write far less."
        )
        return
    device = found.model if found.model.startswith(found.make) else f"{found.make} {found.model}"
    if device.strip():
        when = f", taken {found.taken}" if found.taken else ""
        lens = f", lens {found.lens}" if found.lens else ""
        yield Finding(
            "camera", "plain", f"EXIF names a camera: {device.strip()}{lens}{when}. Copied or forged with ease."
        )
    if found.position:
        yield Finding(
            "camera", "plain", "EXIF holds a position. It is not shown here; think of it before passing the file on."
        )
    if found.thumbnail is not None and found.thumbnail < ALIKE:
        yield Finding(
            "camera",
            "notable",
            f"The small picture in EXIF does not look like the large one (correlation {found.thumbnail:.2f}): the "
            "picture was changed or cut after it was taken, by a program that left the small one as it was.",
        )


def _jpeg(found: Encoding) -> Iterator[Finding]:
    mode = "progressive" if found.progressive else "baseline"
    colours = "grey" if found.subsampling == "none" else f"colours {found.subsampling}"
    if found.standard:
        words = f"JPEG of quality {found.quality} by the standard's tables ({mode}, {colours})."
    else:
        words = (
            f"JPEG with tables of its own, about as fine as quality {found.quality} ({mode}, {colours}): cameras and "
            "programs such as Photoshop write such, common libraries and most platforms do not."
        )
    yield Finding("jpeg", "plain", words)


def _history(found: History) -> Iterator[Finding]:
    yield Finding(
        "history",
        "plain",
        f"A hint: the picture was a JPEG of about quality {found.quality} before it was saved as this one. Most "
        "pictures that went through a program or a platform were; it is no sign of forgery.",
    )


def _nothing(camera: Camera, origin: Origin, credentials: Credentials | None) -> Iterator[Finding]:
    entries = (origin.software, origin.generated, origin.named, origin.source_types, origin.remote)
    if not (camera.tags or camera.bytes or credentials or any(entries)):
        yield Finding(
            "origin",
            "plain",
            "The file says nothing about where it comes from. Platforms and messengers remove such entries, so that "
            "tells neither for nor against it.",
        )


def _entries(entries: tuple[Entry, ...]) -> str:
    return _list([f"{entry.where} ‘{entry.what}’" for entry in entries])


def _list(values: tuple[str, ...] | list[str]) -> str:
    shown = "; ".join(values[:NAMED])
    return f"{shown}; and {len(values) - NAMED} more" if len(values) > NAMED else shown or "no details"

"""Content credentials (C2PA): who signed the picture, whether the signature still fits, and what is said of its making.

Read with the library of C2PA's makers. Nothing is fetched: no remote manifest, no revocation list. No list of trusted
signers is built in, so a name is what the signer's certificate says, and anyone can make a certificate.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from dfd.evidence.origin import GENERATED, PARTLY
from dfd.evidence.text import clean

MARKS = (b"c2pa", b"jumb")  # of the boxes that hold credentials; a file without them is not handed to the library
MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}
MOST = 20  # actions, ingredients and reasons that are told
NO_LIST = "signingCredential.untrusted"
# C2PA's codes for something that is not as it was signed. Others tell of the signer, such as a certificate that ran
# out, of how the manifest was built, or, as timeStamp.mismatch, of the confirmed time alone.
MISSING = (
    "assertion.missing",
    "assertion.undeclared",
    "claim.missing",
    "claimSignature.missing",
    "ingredient.manifest.missing",
    "ingredient.claimSignature.missing",
)
MISMATCH = re.compile(r"(?!timeStamp\.).+\.mismatch")


@dataclass(frozen=True)
class Credentials:
    """What the newest manifest of a file says.

    `state`: 'trusted', 'valid' (the signature fits picture and manifest; the signer is on no list), 'invalid' (a check
    failed; `changed` says whether that means a change after signing) or 'unreadable'. `problems` are C2PA's codes.
    `generated`: 'yes', 'partly' or '' as the digital source types of its actions say, and of its ingredients'. What
    was placed into the picture, such as a logo, makes a part of it at most.
    `signed` is the time of signing, if the signer had it confirmed.
    """

    state: str
    signer: str = ""
    signed: str = ""
    generator: str = ""
    title: str = ""
    actions: tuple[str, ...] = ()
    source_types: tuple[str, ...] = ()
    generated: str = ""
    ingredients: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether picture or manifest are not as they were signed."""
        return any(problem in MISSING or MISMATCH.fullmatch(problem) for problem in self.problems)


def credentials_of(data: bytes, kind: str) -> Credentials | None:
    """Read the credentials in a file of format `kind` (Pillow's name); None if there are none."""
    if kind not in MIME or not any(mark in data for mark in MARKS):
        return None
    import c2pa

    try:
        with (
            c2pa.Settings.from_dict(SETTINGS) as settings,
            c2pa.Context(settings) as context,
            c2pa.Reader(MIME[kind], BytesIO(data), context=context) as reader,
        ):
            return _credentials(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        return Credentials("unreadable", problems=(clean(error),))


def _credentials(store: dict[str, Any]) -> Credentials:
    manifests = store.get("manifests") or {}
    manifest = manifests.get(store.get("active_manifest")) or {}
    signature = manifest.get("signature_info") or {}
    actions = list(_actions(manifest))
    own, types = _types(_lineage(store)), _types(list(manifests.values())[:MOST])
    return Credentials(
        state=str(store.get("validation_state", "unreadable")).lower(),
        signer=clean(signature.get("issuer") or signature.get("common_name") or ""),
        signed=clean(signature.get("time") or ""),
        generator=_generator(manifest),
        title=clean(manifest.get("title") or ""),
        actions=_unique(_action(action) for action in actions),
        source_types=types,
        generated="yes" if set(own) & set(GENERATED) else "partly" if set(types) & {*GENERATED, *PARTLY} else "",
        ingredients=_unique(clean(each.get("title") or "") for each in manifest.get("ingredients") or []),
        problems=_unique(clean(each.get("code") or "") for each in store.get("validation_status") or []),
    )


def _lineage(store: dict[str, Any]) -> list[dict[str, Any]]:
    """The newest manifest, that of the picture which it was made from, and so on."""
    manifests: dict[Any, dict[str, Any]] = store.get("manifests") or {}
    found: dict[Any, dict[str, Any]] = {}
    name = store.get("active_manifest")
    while name in manifests and name not in found and len(found) < MOST:
        found[name] = manifests[name]
        ingredients: list[dict[str, Any]] = found[name].get("ingredients") or []
        parents = [each for each in ingredients if each.get("relationship") == "parentOf"]
        name = parents[0].get("active_manifest") if parents else None
    return list(found.values())


def _types(manifests: list[dict[str, Any]]) -> tuple[str, ...]:
    return _unique(_last_part(action.get("digitalSourceType")) for each in manifests for action in _actions(each))


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for assertion in manifest.get("assertions") or []:
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from (action for action in (assertion.get("data") or {}).get("actions") or [])


def _action(action: dict[str, Any]) -> str:
    """Such as 'created (trainedAlgorithmicMedia), by Firefly'."""
    kind = clean(_last_part(action.get("digitalSourceType")))
    agent = action.get("softwareAgent")
    name = clean(agent.get("name", "") if isinstance(agent, dict) else agent or "")
    told = clean(action.get("action", "")).removeprefix("c2pa.")
    return f"{told}{f' ({kind})' if kind else ''}{f', by {name}' if name else ''}"


def _generator(manifest: dict[str, Any]) -> str:
    """The program that wrote the claim, such as 'Test Generator 1.0'."""
    about = manifest.get("claim_generator_info") or []
    if not about:
        return clean(manifest.get("claim_generator") or "")
    return clean(" ".join(str(about[0][key]) for key in ("name", "version") if about[0].get(key)))


def _last_part(address: Any) -> str:
    return clean(str(address or "").rsplit("/", 1)[-1], 60)


def _unique(values: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))[:MOST]

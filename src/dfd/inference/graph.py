"""The graph of an export: its files, and the card that says whose networks it holds and how to use it.

graph.yaml           the card; its last line is a checksum of the others. Written last: a folder without it is no graph
model.onnx           for ONNX Runtime (with model.onnx.data beside it beyond 2 GB)
model.xml, .bin      for OpenVINO
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfd import sealed
from dfd.data.transforms import Joint, Preprocessing
from dfd.errors import UserError
from dfd.files import sha256_of
from dfd.models.bundle import Bundle

FORMAT = 1
FOLDER, FILE = "graph", "graph.yaml"
ENTRY = {"onnx": "model.onnx", "openvino": "model.xml"}  # what an engine opens
PRECISIONS = ("fp32", "bf16", "int8")
INPUT, VALUES, LOGIT, PROB, MEMBER_LOGITS = "images_{}", "values", "logit", "prob", "member_logits"


@dataclass(frozen=True)
class Graph:
    """A graph on the disk and the content of its card."""

    folder: Path
    card: dict[str, Any]

    @property
    def format(self) -> str:
        """'onnx' or 'openvino'."""
        return str(self.card["format"])

    @property
    def precision(self) -> str:
        """'fp32', 'bf16' or 'int8'."""
        return str(self.card["precision"])

    @property
    def entry(self) -> Path:
        """The file that an engine opens."""
        return self.folder / ENTRY[self.format]

    @property
    def outputs(self) -> list[str]:
        """Names of its outputs."""
        return [str(one["name"]) for one in self.card["outputs"]]


def write(folder: Path, card: dict[str, Any]) -> Graph:
    """Add the card to a folder that holds the files of a graph."""
    names = sorted(path.name for path in folder.iterdir() if path.name != FILE)
    content = {"version": FORMAT, **card, "files": {name: sha256_of(folder / name) for name in names}}
    sealed.write(folder / FILE, content)
    return Graph(folder, content)


def read(folder: Path) -> Graph:
    """Read a graph's card and check all its files. Raises UserError if one is missing, damaged or edited."""
    card = read_card(folder)
    try:
        graph = Graph(folder, card)
        files = {str(name): str(digest) for name, digest in card["files"].items()}
        [Preprocessing.from_dict(one["preprocessing"]) for one in card["inputs"]]
        known = graph.entry.name in files and graph.outputs[0] == VALUES and graph.precision in PRECISIONS
        _ = card["bundle"]["sha256"]
    except (AttributeError, IndexError, KeyError, TypeError, UserError) as error:
        raise UserError(f"{folder / FILE} is damaged: {error!s}") from None
    if not known or any(Path(name).name != name for name in files):
        raise UserError(f"{folder / FILE} is damaged: it does not name the files, outputs or precision of a graph")
    for name, digest in files.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing; export again")
        if sha256_of(folder / name) != digest:
            raise UserError(f"{folder / name} is damaged, or was edited: its sha256 is not the one in {FILE}")
    return graph


def read_card(folder: Path) -> dict[str, Any]:
    """The content of graph.yaml, its checksum and version checked; see `read` for the rest."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: the export was not finished, or is incomplete; export again")
    content = sealed.read(path)
    version = content.get("version")
    if version != FORMAT:
        raise UserError(f"{path}: version {version!r} is not known; accepted is {FORMAT}")
    return content


def check_fits(graph: Graph, bundle: Bundle, joint: Joint) -> None:
    """Raise UserError if the graph holds other networks than the bundle, or wants other inputs than `joint` makes."""
    if graph.card["bundle"]["sha256"] != bundle.sha256:
        raise UserError(
            f"{graph.folder} is the graph of another bundle ({graph.card['bundle']['sha256'][:16]}) than "
            f"{bundle.name} ({bundle.sha256[:16]}); export it with dfd export bundle=…, or use backend=torch"
        )
    if [one["preprocessing"] for one in graph.card["inputs"]] != [each.to_dict() for each in joint.each]:
        raise UserError(f"{graph.folder} wants images in another form than {bundle.name}; export the bundle again")


def newest(bundle: Bundle, format: str, outputs: Path = Path("outputs")) -> Path | None:
    """The folder of the newest graph of a bundle under `outputs`/export, None if there is none.

    Graphs whose cards can't be read are passed over: nobody knows whose they are.
    """
    found = []
    for path in outputs.glob(f"export/*/*/{FOLDER}/{FILE}"):
        try:
            card = read_card(path.parent)
            if card["format"] == format and card["bundle"]["sha256"] == bundle.sha256:
                found.append(path)
        except (UserError, KeyError, TypeError):
            continue
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None

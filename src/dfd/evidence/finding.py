"""One thing that a file tells about itself."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["strong", "notable", "plain"]
ORDER: dict[str, int] = {"strong": 0, "notable": 1, "plain": 2}


@dataclass(frozen=True)
class Finding:
    """A sentence for people.

    `topic` names the part of the evidence that it comes from. `level`: 'strong' where the file says outright how it was
    made, 'notable' where somebody should look, 'plain' for the rest.
    """

    topic: str
    level: Level
    words: str

"""The state of a folder of scores: what is there, what is to do, and the mark that all is done."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from dfd.files import sha256_of, write_text
from dfd.scoring import parts
from dfd.scoring.parts import ERROR, VERDICTS, Part
from dfd.scoring.plan import Plan, Task
from dfd.scoring.stream import Todo

SCORES = "_scores.json"


@dataclass(frozen=True)
class State:
    """The parts of a plan that are there."""

    plan: Plan
    parts: dict[int, list[Part]]  # by task, in their order

    @property
    def rows(self) -> int:
        """Images that are scored."""
        return sum(part.rows for part in self.all())

    def all(self) -> Iterator[Part]:
        """All parts, in the order of their tasks."""
        for number in sorted(self.parts):
            yield from self.parts[number]

    def todo(self) -> Iterator[tuple[int, Todo]]:
        """The tasks that are not done, with their places in the plan."""
        for place, task in self.plan.tasks():
            there = self._whole(task)
            if not there or not there[-1].ends_task:
                yield place, Todo(task, len(there))

    def counts(self) -> Counter[str]:
        """Numbers of verdicts and errors."""
        return sum((Counter(part.counts) for part in self.all()), Counter())

    def _whole(self, task: Task) -> list[Part]:
        """The parts of a task up to the first that is missing."""
        there = self.parts.get(task.number, [])
        return [part for at, part in takewhile(lambda one: one[1].number in (None, one[0]), enumerate(there))]


def state_of(plan: Plan, digest: str) -> State:
    """What is there of a plan."""
    found: dict[int, list[Part]] = {}
    for part in parts.present(plan.folder, digest):
        found.setdefault(part.task, []).append(part)
    return State(plan, found)


def finish(state: State, about: dict[str, Any]) -> dict[str, Any]:
    """Write what there is in all, and the parts with their rows and sha256. Returns it."""
    counts = state.counts()
    content = {
        "images": state.rows,
        **{name: counts[name] for name in VERDICTS},
        "errors": counts[ERROR],
        **about,
        "parts": [
            {"name": part.name, "rows": part.rows, "sha256": sha256_of(state.plan.folder / part.name)}
            for part in state.all()
        ],
    }
    write_text(state.plan.folder / SCORES, json.dumps(content, indent=1) + "\n")  # a name may be no text
    return content

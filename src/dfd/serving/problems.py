"""What is answered in place of a result: a status and one sentence that says why."""

from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """Ends a request with `status` and a JSON body {"detail": …, **more}."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers, self.more = dict(headers or {}), dict(more or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle: exceptions are made again from their message alone."""
        return Problem, (self.status, self.detail, self.headers, self.more)


class Busy(Problem):
    """503: nothing is wrong with the request, and the same one can be sent again after `seconds`."""

    def __init__(self, detail: str, seconds: int = 1) -> None:
        super().__init__(503, detail, {"Retry-After": str(seconds)})


def unprocessable(detail: str, **more: Any) -> Problem:
    """422: the request was understood, and can't be answered."""
    return Problem(422, detail, more=more)

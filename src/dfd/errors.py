"""What a user can mend, told apart from what only we can mend."""

EXIT_OK = 0
EXIT_BUG = 1  # an error that is ours; the traceback says where
EXIT_USER_ERROR = 2  # a wrong setting, a missing file: the message says what to do
EXIT_PARTIAL = 3  # the work is done, but some images could not be used; they are listed
EXIT_INTERRUPTED = 130  # Ctrl-C

SEVERITY = (EXIT_OK, EXIT_PARTIAL, EXIT_USER_ERROR, EXIT_BUG, EXIT_INTERRUPTED)


def worst(codes: list[int]) -> int:
    """The exit code that several parts of one call have together."""
    return max(codes, key=lambda code: SEVERITY.index(code) if code in SEVERITY else len(SEVERITY))


class UserError(Exception):
    """A mistake or a lack that the user can mend; printed as one message, without a traceback.

    The message names the thing, the value found and what would be accepted.
    """

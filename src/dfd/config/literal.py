"""Text that OmegaConf is to take as it is."""


def literal(text: str) -> str:
    r"""Write a text, such as a path, so that OmegaConf reads back the same, whatever is in it.

    Only '${' is special to it, unless a backslash precedes it; backslashes before that count in pairs.
    """
    if text == "???":  # OmegaConf's mark of a missing value
        return "./???"
    *heads, tail = text.split("${")
    doubled = [head + "\\" * (len(head) - len(head.rstrip("\\"))) + "\\" for head in heads]
    return "${".join([*doubled, tail])

"""Tab completion for bash and zsh: `eval "$(dfd --completion bash)"`. Answers without importing Hydra."""

from collections.abc import Iterable

from dfd.front.arguments import option_names
from dfd.front.commands import COMMANDS, Command, find_command
from dfd.front.settings import groups, settings

# The shell asks `dfd --complete LINE`. Where bash breaks words at '=', it replaces only what follows the last '='.
FUNCTION = r"""
_dfd_complete() {
    local line="${COMP_LINE:0:$COMP_POINT}" candidate word
    word="${line##* }"
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ "$COMP_WORDBREAKS" == *=* && "$word" == *=* ]] && candidate="${candidate#"${word%"${word##*=}"}"}"
        [ -n "$candidate" ] && COMPREPLY+=("$candidate")
    done < <(dfd --complete "$line" 2>/dev/null)
    [[ "${COMPREPLY[0]}" == *[=.] ]] && compopt -o nospace 2>/dev/null
    return 0
}
"""
SHELLS = {
    "bash": FUNCTION + "complete -o default -F _dfd_complete dfd",
    "zsh": "autoload -U +X bashcompinit && bashcompinit\n"
    + FUNCTION
    + "complete -o nospace -o default -F _dfd_complete dfd",
}


def script(shell: str) -> str:
    """The lines for the shell to evaluate."""
    return SHELLS[shell].strip()


def complete(line: str) -> list[str]:
    """What the last word of a command line up to the cursor can become; nothing leaves file names to the shell."""
    *words, word = line.split(" ")
    words = [one for one in words if one][1:]
    command = find_command(words)
    if command is None:
        return _starting_with(" ".join([*words, word]), words)
    if word.startswith("-"):
        return [option for option in option_names(command) if option.startswith(word)]
    key, equals, value = word.partition("=")
    return _values(command, key, value) if equals else _keys(command, word)


def _starting_with(typed: str, words: list[str]) -> list[str]:
    """Next words of the commands that begin with `typed`, and the options where a command is due."""
    names = [command.name for command in COMMANDS if command.name.startswith(typed)]
    options = [] if words else [one for one in ("--help", "--version", "--completion") if one.startswith(typed)]
    return _unique([*(name.split()[len(words)] for name in names), *(options if typed.startswith("-") else [])])


def _keys(command: Command, word: str) -> list[str]:
    """Groups and settings, one section at a time: 'tr' becomes 'trainer.', which becomes 'trainer.epochs='."""
    found = [f"{group}=" for group in groups(command) if group.startswith(word)]
    for key in settings(command.config):
        if key.startswith(word):
            part, dot, _ = key[len(word) :].partition(".")
            found.append(f"{word}{part}." if dot else f"{key}=")
    return _unique(found)


def _values(command: Command, key: str, value: str) -> list[str]:
    """Choices for the last of the values that are separated by commas."""
    done, comma, last = value.rpartition(",")
    setting = settings(command.config).get(key)
    choices = groups(command).get(key) or (setting.choices if setting else ())
    return [f"{key}={done}{comma}{choice}" for choice in choices if choice.startswith(last)]


def _unique(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))

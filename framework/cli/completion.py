"""Completion for the shell: verbs, their options, configuration groups and the options of each group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.errors import ConfigError, did_you_mean

SHELLS = ("bash", "zsh")
_SCRIPT = r"""_framework_complete() {
  local line=${COMP_LINE:0:COMP_POINT} word
  word=${line##* }
  local IFS=$'\n'
  COMPREPLY=($(framework completion words "$line" 2>/dev/null))
  # bash has split the word at '=': only what follows is replaced
  [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${word%%=*}="}")
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
  return 0
}
complete -F _framework_complete framework
"""


def script(shell: str) -> str:
    """Return what a shell evaluates to complete `framework …`. Raises `ConfigError` for an unknown shell."""
    if shell not in SHELLS:
        raise ConfigError(f"unknown shell '{shell}'{did_you_mean(shell, SHELLS)}")
    return ("autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else "") + _SCRIPT


def candidates(line: str, verbs: Mapping[str, Any]) -> list[str]:
    """Return what the last word of a command line may become.

    Args:
        line: the command line up to the cursor; it begins with the program's name.
        verbs: Click's commands by name.
    """
    from framework.configuration.search_path import config_groups, group_files

    words = line.split(" ")
    word, before = words[-1], [text for text in words[1:-1] if text]
    if before and before[0] in verbs:
        options = [
            flag for item in verbs[before[0]].params for flag in getattr(item, "opts", ()) if flag[0] == "-"
        ]
        return sorted(flag for flag in options if word and flag.startswith(word))
    key, equals, value = word.partition("=")
    if equals:
        group = key.lstrip("+~")
        return [f"{key}={option}" for option in group_files(group) if option.startswith(value)]
    groups = ["+experiment=" if group == "experiment" else f"{group}=" for group in config_groups()]
    offered = groups if before else [*verbs, *groups]
    return sorted(text for text in offered if text.startswith(word))

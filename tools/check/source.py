# SPDX-License-Identifier: Apache-2.0
"""Finds function definitions in C sources that are laid out by clang-format: a definition's body begins with a "{"
in the first column and ends with a "}" in the first column."""
import re

HEAD = re.compile(r"^([A-Za-z_][^;{}#]*?)\b([A-Za-z_]\w*)[ \t]*\(([^;{}]*)\)\s*\n\{", re.M)
SECTION = re.compile(r'^SEC\("[^"]*"\)\s*')


def strip_comments(text):
    """Comments and the insides of strings become blanks; positions stay."""

    def blank(m):
        s = m.group()
        if s.startswith("/"):
            return re.sub(r"[^\n]", " ", s)
        return s[0] + " " * (len(s) - 2) + s[-1] if len(s) > 1 else s

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def functions(path):
    """(name, first line, last line, body) of each function that path defines."""
    text = strip_comments(open(path, errors="replace").read())
    for m in HEAD.finditer(text):
        end = text.find("\n}", m.end())
        if end < 0:
            continue
        yield m.group(2), text[: m.start(2)].count("\n") + 1, text[: end + 1].count("\n") + 1, text[m.end() : end]

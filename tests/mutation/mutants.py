# SPDX-License-Identifier: MIT
"""
mutants.py - the places of the sources where a small change is a plausible mistake, and the changes

A mutant is one change of one line inside a function. Comments, texts, declarations and preprocessor lines are left
alone. The sources are formatted by clang-format, so binary operators have spaces around them, and functions begin and
end with a brace in the first column.
"""
import re

RELATIONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "*"}
BITS = {"&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<"}
ASSIGNMENTS = {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|="}
LOGIC = {"&&": "||", "||": "&&"}
STEPS = {"++": "--", "--": "++"}
RETURNS = {"true": "false", "false": "true", "0": "-1", "err": "0"}

# What changes neither results nor memory, or only what a compiler or a debug build sees.
IGNORED = re.compile(r"zp_yield|__builtin_|_Static_assert|\bassert\(|zp_debug_|\bunused\b|VALGRIND_|__tsan|__asan")


def swap(pattern, table):
    """Returns an operator that replaces the first group of each match by its partner in the table."""

    def find(line):
        for match in re.finditer(pattern, line):
            if match.group(1) in table:
                yield match.start(1), match.end(1), table[match.group(1)]

    return find


def negate_condition(line):
    match = re.match(r"\t+(?:\} else )?(?:if|while) \((.*)\)(?: \{)?$", line)
    if match and balanced(match.group(1)):
        yield match.start(1), match.end(1), "!(" + match.group(1) + ")"


def change_constant(line):
    for match in re.finditer(r"(?<![\w.])(\d+)(?=(?:u|ul|ull)?\b(?![\w.]))", line):
        yield match.start(1), match.end(1), str(int(match.group(1)) + 1)


def change_return(line):
    match = re.match(r"\t+return (-E[A-Z0-9]+|\w+);$", line)
    if match:
        other = "0" if match.group(1).startswith("-E") else RETURNS.get(match.group(1))
        if other:
            yield match.start(1), match.end(1), other


def delete_statement(line):
    match = re.match(r"\t+((?:\(void\))?[a-z_*][\w>.\[\]*-]*(?:\(.*\)| [-+|&]?= .+)|goto \w+);$", line)
    if match and balanced(match.group(1)) and not re.match(r"(return|va_end)\b", match.group(1)):
        yield match.start(1), match.end(1), ""


def leave_loop(line):
    match = re.match(r"\t+(break|continue);$", line)
    if match:
        yield match.start(1), match.end(1), {"break": "continue", "continue": "break"}[match.group(1)]


OPERATORS = {
    "relation": swap(r" (<=|>=|==|!=|<|>) ", RELATIONS),
    "arithmetic": swap(r"(?<=[\w)\]]) ([-+*/%]) (?=[\w(])", ARITHMETIC),
    "bits": swap(r"(?<=[\w)\]]) (&|\||\^|<<|>>) (?=[\w(~])", BITS),
    "logic": swap(r" (&&|\|\|)(?: |$)", LOGIC),
    "assignment": swap(r" (\+=|-=|\|=|&=) ", ASSIGNMENTS),
    "step": swap(r"(\+\+|--)", STEPS),
    "condition": negate_condition,
    "constant": change_constant,
    "return": change_return,
    "deletion": delete_statement,
    "loop": leave_loop,
}


def balanced(text):
    depth = 0
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            return False
    return depth == 0


def masked_lines(text):
    """Replaces the insides of comments and literals by spaces, so that positions stay the same."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    text = re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)
    return [line.rstrip() for line in text.split("\n")]


class Mutant:
    """One change: line is counted from 0, begin and end are positions in it."""

    def __init__(self, path, function, operator, line, begin, end, text, lines):
        self.path, self.function, self.operator, self.line = path, function, operator, line
        before = lines[line]
        self.previous = lines[line - 1].strip()
        self.before = before.strip()
        self.changed_line = before[:begin] + text + before[end:]
        self.after = self.changed_line.strip()

    def __str__(self):
        return "%s:%d: %s: %s  ->  %s" % (self.path, self.line + 1, self.operator, self.before, self.after)

    def key(self):
        """
        Names the mutant in the list of survivors. The number of the line is not in it, because it changes with every
        line above. The function and the previous line tell apart lines that are spelled alike, like two `continue;'.
        """
        return "%s: %s: %s | %s -> %s" % (self.path, self.function, self.previous, self.before, self.after)

    def source(self, text):
        lines = text.split("\n")
        lines[self.line] = self.changed_line
        return "\n".join(lines)


def mutants_of(path, text):
    """Returns all mutants of a file by operator."""
    found = {name: [] for name in OPERATORS}
    lines, inside, function = text.split("\n"), False, ""
    for number, masked in enumerate(masked_lines(text)):
        named = re.match(r"(?:__attribute__\(\(.*\)\) )?\w[^;=(]*\b(\w+)\(", masked)
        if named and not inside:
            function = named.group(1)
        if masked.startswith("{") or masked.startswith("}"):
            inside = masked.startswith("{")
            continue
        if not inside or masked.lstrip().startswith("#") or IGNORED.search(masked):
            continue
        for name, find in OPERATORS.items():
            for begin, end, replacement in find(masked):
                found[name].append(Mutant(path, function, name, number, begin, end, replacement, lines))
    return found

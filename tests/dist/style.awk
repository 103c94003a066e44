# SPDX-License-Identifier: MIT
#
# style.awk - reports, as errors, what doc/hacking.md forbids under "Style": sizeof without parentheses, and unsigned
# without a type after it
#
# Strings and comments do not count. A comment is recognised by its beginning and its end; the text in between starts
# with an asterisk, which .clang-format guarantees.

{
    text = $0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", text)
    sub(/^[ \t]*\*( .*)?$/, "", text)
    sub(/\/\*.*/, "", text)
    gsub(/unsigned (int|long|char|short)/, "", text)
    text = " " text " "
}
text ~ /[^a-zA-Z0-9_]sizeof +[^( ]/ || text ~ /[^a-zA-Z0-9_]sizeof[^( a-zA-Z0-9_]/ {
    printf "%s:%d: sizeof without parentheses: %s\n", FILENAME, FNR, $0
    failed = 1
}
text ~ /[^a-zA-Z0-9_]unsigned[^a-zA-Z0-9_]/ {
    printf "%s:%d: unsigned without int: %s\n", FILENAME, FNR, $0
    failed = 1
}
END {
    exit failed
}

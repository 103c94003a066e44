# SPDX-License-Identifier: MIT
#
# sizes.awk - reports files of more than 600 lines as errors, and lists functions of more than 60 lines
#
# A function is the text between a line "{" and the next line "}", which .clang-format guarantees. Its name is the word
# before the first parenthesis above.

FNR == 1 {
    check_file()
    file = FILENAME
    start = 0
}
{
    lines = FNR
}
/^[a-zA-Z].*\(/ {
    head = $0
}
/^\{/ {
    start = FNR
}
/^\}/ {
    if (start && FNR - start > 60) {
        name = head
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        printf "%s:%d: %s has %d lines\n", FILENAME, start, name, FNR - start - 1
    }
    start = 0
}
END {
    check_file()
    exit failed
}

function check_file() {
    # The public headers document every function, so they may be longer.
    most = file ~ /libzpool\/zpool\.h$/ ? 900 : 600
    if (lines > most) {
        printf "%s: %d lines, more than %d\n", file, lines, most
        failed = 1
    }
    lines = 0
}

# SPDX-License-Identifier: MIT
#
# sizes.awk - files of more than 600 lines, which are an error, and functions of more than 60, which are listed
#
# A function is what stands between a line that is "{" and the next one that is "}", as .clang-format has it; its name is
# the word before the first parenthesis above.

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
    # The public header documents every function in place.
    most = file ~ /libzpool\/zpool\.h$/ ? 900 : 600
    if (lines > most) {
        printf "%s: %d lines, more than %d\n", file, lines, most
        failed = 1
    }
    lines = 0
}

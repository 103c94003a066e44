# SPDX-License-Identifier: MIT
#
# sizes.awk - writes the C source of the named distributions: for each file of sizes, every size and how often it
# occurs. The name of such a file is <anything>.<name>.sizes.

function close_array() {
    if (name == "")
        return
    for (size = 1; size <= 65535; size++)
        if (size in times)
            printf "\t{ %d, %d },\n", size, times[size]
    printf "};\nconst size_t sizes_%s_runs = sizeof(sizes_%s) / sizeof(sizes_%s[0]);\n", name, name, name
    split("", times)
}

BEGIN {
    print "/* Made by tools/bench/sizes.awk. */\n#include \"tools/bench/sizes.h\""
}
FNR == 1 {
    close_array()
    count = split(FILENAME, part, ".")
    name = part[count - 1]
    printf "\nconst struct size_run sizes_%s[] = {\n", name
}
{
    times[$1]++
}
END {
    close_array()
}

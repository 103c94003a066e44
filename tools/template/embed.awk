# SPDX-License-Identifier: MIT
#
# embed.awk - writes the files of a template as C source: for each file an array of its lines, named after the file
BEGIN {
    print "/* Made by embed.awk from the files in tools/template. */"
    print "#include \"tools/template/template.h\""
}
FNR == 1 {
    if (NR > 1)
        print "\tNULL,\n};"
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.in$/, "", name)
    gsub(/[^A-Za-z0-9]/, "_", name)
    print "\nconst char *const template_" name "[] = {"
}
{
    gsub(/[\\"]/, "\\\\&")
    gsub(/\t/, "\\t")
    print "\t\"" $0 "\","
}
END {
    print "\tNULL,\n};"
}

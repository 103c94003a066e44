# SPDX-License-Identifier: MIT
#
# rooms.awk - print the coverage of lines and branches by room, from an lcov tracefile
#
# A branch that the compiler made but that no execution reached at all counts as not taken, as in lcov's own totals.

function room_of(path, parts, count) {
	sub(/^.*\/(\.\/)?build\//, "", path)
	sub("^" root "/", "", path)
	count = split(path, parts, "/")
	if (count < 2)
		return "other"
	return parts[1] ~ /^(libzpool|plugins|hosts)$/ && count > 2 ? parts[1] "/" parts[2] : parts[1]
}

function percent(hit, found) {
	return found ? sprintf("%.1f %%", 100 * hit / found) : "-"
}

function print_row(name) {
	printf "%-20s %7d %8s %8d %8s\n", name, lines[name], percent(lines_hit[name], lines[name]), branches[name], \
		percent(branches_hit[name], branches[name]) | "sort"
}

BEGIN { FS = "[:,]" }
$1 == "SF" { room = room_of(substr($0, 4)); group = room; sub(/\/.*/, "", group) }
$1 == "DA" { count(lines, 1); count(lines_hit, $3 > 0) }
$1 == "BRDA" { count(branches, 1); count(branches_hit, $5 != "-" && $5 > 0) }

function count(table, amount) {
	table[room] += amount
	if (group != room)
		table[group] += amount
}

END {
	printf "%-20s %7s %8s %8s %8s\n", "room", "lines", "covered", "branches", "covered"
	fflush()
	for (name in lines)
		print_row(name)
}

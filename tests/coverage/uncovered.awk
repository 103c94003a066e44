# SPDX-License-Identifier: MIT
#
# uncovered.awk - list the places that no test executed and that have no reason in tests/coverage/uncovered
#
# The input is that list, followed by an lcov tracefile. A place is a run of lines that were not executed. It is named by
# its file, its function, the line of source before it and its first line, so that it keeps its name when other lines
# are added to the file. An entry of the list whose line is no longer in its file is reported as well. The conformance
# suite is left out: most of its lines that are not executed report the faults of drivers.

function squeezed(text) {
	gsub(/[ \t]+/, " ", text)
	sub(/^ /, "", text)
	sub(/ $/, "", text)
	return text
}

# Reads a source file into source[], and the number of its lines into source_lines.
function read_source(path) {
	split("", is_line)
	for (source_lines = 0; (getline text <path) > 0; ) {
		source[++source_lines] = squeezed(text)
		is_line[source[source_lines]] = 1
	}
	close(path)
}

function line_before(line) {
	while (--line > 0)
		if (source[line] != "" && source[line] !~ /^[{}]$/)
			return source[line]
	return ""
}

# The name of the function that starts last before the line, from the tracefile's records of functions.
function function_of(line,    start, last, name) {
	for (start in functions)
		if (start + 0 <= line && start + 0 >= last) {
			last = start + 0
			name = functions[start]
		}
	return name
}

function report(line,    place) {
	place = relative ": " function_of(line) ": " line_before(line) " | " source[line]
	if (place in reasons)
		explained++
	else {
		print place
		unexplained++
	}
}

# The lines of a place may contain the separator, too.
function names_a_line(place,    at) {
	while ((at = index(place, " | ")) > 0) {
		place = substr(place, at + 3)
		if (place in is_line)
			return 1
	}
	return 0
}

function report_stale(    place) {
	for (place in reasons)
		if (index(place, relative ": ") == 1 && !names_a_line(place))
			print "tests/coverage/uncovered names a line that does not exist: " place
}

# The records of functions may follow those of lines, so a file is reported at its end.
function end_of_file(    i, in_run) {
	report_stale()
	for (i = 1; i <= lines; i++) {
		if (executions[i] == 0 && !in_run)
			report(numbers[i])
		in_run = executions[i] == 0
	}
}

BEGIN { FS = "[:,]" }

NR == FNR {
	if ($0 !~ /^#/ && $0 != "")
		reasons[$0] = 1
	next
}
$1 == "SF" {
	relative = substr($0, 4)
	read_source(relative)
	sub(/^.*\/(\.\/)?build\//, "", relative)
	sub("^" root "/", "", relative)
}
$1 == "FN" { functions[$2] = $3 }
$1 == "DA" { numbers[++lines] = $2; executions[lines] = $3 }
$1 == "end_of_record" && relative !~ /^conformance\// { end_of_file() }
$1 == "end_of_record" { split("", functions); lines = 0 }

END {
	if (unexplained > 0)
		printf "%d places above were not executed and have no reason in tests/coverage/uncovered.\n", unexplained
	printf "%d places were not executed for a reason that stands there.\n", explained
}

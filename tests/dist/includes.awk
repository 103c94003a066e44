# SPDX-License-Identifier: MIT
#
# includes.awk - checks that includes go downward only. The input is the table of rooms, followed by every source file,
# named by its path from the top directory. The script prints each include that the table does not allow, and then exits
# with status 1.
#
# A line of the table is "ROOM: ROOM...": the files below the first directory may include their own headers and those
# below the others; a single header may be named as well.  A file belongs to the longest directory that matches.
# "public" stands for the headers in libzpool/ itself.  A line "<HEADER>: FILE..." names the only files below libzpool/
# and plugins/ that may include a system header.

function fail(text)
{
	print FILENAME ":" FNR ": " text
	failures++
}

function room_of(path,    dir)
{
	if (path ~ /^libzpool\/[^\/]*$/)
		return "public"
	for (dir = path; sub("/[^/]*$", "", dir); )
		if (dir in allowed)
			return dir
	return ""
}

# Returns the directory of a driver, such as "plugins/zbud".
function folder_of(path,    part)
{
	split(path, part, "/")
	return part[1] "/" part[2]
}

# Removes "x/../" from a path.
function simplify(path)
{
	while (sub(/[^\/.]+\/\.\.\//, "", path))
		;
	return path
}

# Returns the path of a quoted header as the compiler finds it: next to the file, or in one of the directories of -I.
function resolve(header,    dir, candidate, i)
{
	dir = FILENAME
	sub("[^/]*$", "", dir)
	candidate = simplify(dir header)
	if (candidate in known)
		return candidate
	for (i = 1; i <= search_count; i++) {
		candidate = simplify(search[i] header)
		if (candidate in known)
			return candidate
	}
	return ""
}

function check(header,    target, from, to)
{
	target = resolve(header)
	from = room_of(FILENAME)
	if (from == "") {
		fail("this directory is missing in the table of rooms, tests/dist/rooms")
		return
	}
	if (target == "")
		return
	to = room_of(target)
	if (from == "plugins" && to == "plugins" && folder_of(FILENAME) != folder_of(target))
		fail("a driver must not include another driver's header " target)
	else if (from != to && !index(allowed[from], " " to " ") && !index(allowed[from], " " target " "))
		fail(from " must not include " target ", which belongs to " (to == "" ? "no room" : to))
	else
		edges++
}

BEGIN {
	search_count = split("libzpool/ libzpool/support/ store/ conformance/ /", search, " ")
	search[search_count] = ""
	for (i = 2; i < ARGC; i++)
		known[ARGV[i]] = 1
}

FILENAME == ARGV[1] {
	if (/^#/ || !NF)
		next
	name = $1
	sub(/:$/, "", name)
	$1 = ""
	if (name ~ /^</)
		reserved[name] = $0 " "
	else
		allowed[name] = $0 " "
	next
}

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
	header = $0
	sub(/^[ \t]*#[ \t]*include[ \t]*/, "", header)
	sub(/[">][^">]*$/, "", header)
	kind = substr(header, 1, 1)
	header = substr(header, 2)
	if (kind == "\"" || header ~ /^zpool/)
		check(header)
	else if (("<" header ">") in reserved && FILENAME ~ /^(libzpool|plugins)\// &&
		 !index(reserved["<" header ">"], " " FILENAME " "))
		fail("only" reserved["<" header ">"] "may include <" header ">")
}

END {
	if (!edges) {
		print "includes.awk found no include"
		exit 1
	}
	exit failures > 0
}

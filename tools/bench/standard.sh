#!/bin/sh
# SPDX-License-Identifier: MIT
#
# standard.sh ZPOOLCTL DIRECTORY - measures the standard set and writes benchmarks.md and its plots to DIRECTORY, for
# `make bench'. Extra arguments are passed to every run, for example for a trial with few objects.
#
# The files are moved to DIRECTORY only when all of them are complete.

set -eu
zpoolctl=$1
directory=$2
shift 2

command -v gnuplot >/dev/null || {
	echo "make bench: gnuplot is not installed (Debian: gnuplot-nox)" >&2
	exit 1
}
work=$(mktemp -d "${TMPDIR:-/tmp}/zpool-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
COLUMNS=80
export COLUMNS

# section PLOT ARGUMENT...: writes a section with the command, its picture and its output
section()
{
	plot=$1
	shift
	printf '\n    zpoolctl bench %s\n\n![Times and memory of each allocator](%s)\n\n' "$*" "$plot" >>"$work/benchmarks.md"
	"$zpoolctl" bench --plot "$work/$plot" "$@" >"$work/printed"
	sed 's/^\(.\)/    \1/' "$work/printed" >>"$work/benchmarks.md"
}

cat >"$work/benchmarks.md" <<'END'
# Benchmarks

What drivers cost in time and memory, beside the mallocs and the kernel's zsmalloc, as `make bench` measured it. Sizes
are those of real pages of 4 KiB, compressed; zpoolctl(1) says what the workloads do and what each column means. Times
are those of the machine that is named, and only ratios within one run can be compared with another one. Run the
commands on yours.

## Pages compressed with LZ4, one thread and two
END
section benchmarks.svg --sizes lz4 --threads 1,2 "$@"
printf '\n## Pages compressed with zstd\n' >>"$work/benchmarks.md"
section benchmarks-zstd.svg --sizes zstd --rounds 3 -w fill -w churn -w read -w drop "$@"

for file in benchmarks.md benchmarks.svg benchmarks-zstd.svg; do
	cp "$work/$file" "$directory/.$file.new"
done
for file in benchmarks.md benchmarks.svg benchmarks-zstd.svg; do
	mv "$directory/.$file.new" "$directory/$file"
done

# SPDX-License-Identifier: MIT
#
# soak.gnuplot - draw what a soak measured:  gnuplot -c soak.gnuplot soak.csv >soak.svg
#
# The upper plot has the footprint of each subject, and the lower one its resident memory.
set terminal svg size 860,760 noenhanced font 'sans-serif,11' background 'white'
set datafile separator ','
csv = ARG1
colors = '1f77b4 ff7f0e 2ca02c d62728 9467bd 8c564b e377c2 7f7f7f bcbd22 17becf'
do for [i = 1:words(colors)] {
	set linetype i linecolor rgb '#'.word(colors, i) linewidth 1.5
}
set linetype cycle words(colors)
subjects = system("awk -F, 'NR > 1 { print $2 }' '".csv."' | sort -u")
lines_of(name) = "< awk -F, -v name='".name."' '$2 == name' '".csv."'"
set xlabel 'minutes'
set key outside right top
set grid ytics
set yrange [0:*]
set multiplot layout 2,1
set title 'footprint: resident memory and page tables per live byte, mean of a cycle'
plot for [name in subjects] lines_of(name) using ($1 / 60):5 with lines title name
set title 'resident memory and page tables (MiB), mean of a cycle'
plot for [name in subjects] lines_of(name) using ($1 / 60):($6 / 1048576) with lines title name
unset multiplot

# SPDX-License-Identifier: MIT
#
# soak.gnuplot - draw what a soak measured:  gnuplot -c soak.gnuplot soak.csv >soak.svg
#
# The upper plot has the footprint of each subject, and the lower one its resident memory.
set terminal svg size 860,760 noenhanced font 'sans-serif,11' background 'white'
set datafile separator ','
csv = ARG1
subjects = system("awk -F, 'NR > 1 && !seen[$2]++ { print $2 }' '".csv."'")
set xlabel 'minutes'
set key outside right top
set grid ytics
set yrange [0:*]
set multiplot layout 2,1
set title 'footprint: resident memory and page tables per live byte, mean of a cycle'
plot for [name in subjects] csv every ::1 using ($1 / 60):(strcol(2) eq name ? $5 : NaN) with points pointtype 7 \
	pointsize 0.5 title name
set title 'resident memory and page tables (MiB), mean of a cycle'
plot for [name in subjects] csv every ::1 using ($1 / 60):(strcol(2) eq name ? $6 / 1048576 : NaN) with points \
	pointtype 7 pointsize 0.5 title name
unset multiplot

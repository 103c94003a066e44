/* SPDX-License-Identifier: MIT
 *
 * machine.h - a description of the machine for reports, without anything that identifies the machine or its owner
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H 1

struct machine {
	char processor[128]; /* the model */
	unsigned int processors;
	char kernel[96]; /* its name and release */
};

void machine_describe(struct machine *machine);

#endif /* BENCH_MACHINE_H */

/* SPDX-License-Identifier: MIT
 *
 * elf.h - what a plugin's file says about itself, read without running any of it
 */
#ifndef ZP_LOADER_ELF_H
#define ZP_LOADER_ELF_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that is read of one file. */
#define ZP_ELF_BUDGET_BYTES (8u << 20)

struct zp_elf_report {
	bool has_note;
	char type[40];
	char version[64];
	char description[256];
	uint32_t abi_major;
	uint32_t abi_minor;
	size_t max_object_bytes; /* as the driver's structure in the file has it; 0: unknown */
	bool is_filter;          /* likewise */
	size_t driver_bytes;     /* the size of the symbol zpool_driver; 0: unknown */
	/* A sentence without its end: why this cannot be a plugin here.  "" if nothing is wrong to the eye. */
	char fault[320];
	/* How much of the file was read to find all this out; never more than ZP_ELF_BUDGET_BYTES. */
	uint64_t bytes_read;
};

/*
 * Reads the file behind fd.  0, with report->fault set or not; or -errno when it could not be read.
 * The file's content is hostile until proven otherwise: every offset and size in it is checked against the file's,
 * and no more than ZP_ELF_BUDGET_BYTES are read, however large the tables are that it names.
 */
int zp_elf_examine(int fd, struct zp_elf_report *report);

#endif

/* SPDX-License-Identifier: MIT
 *
 * elf.h - read what a plugin's file contains without running any of it
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
	size_t max_object_bytes; /* from the driver's structure in the file; 0: unknown */
	bool is_filter;          /* likewise */
	size_t driver_bytes;     /* the size of the symbol zpool_driver; 0: unknown */
	/* Why this file cannot be a plugin, as a sentence without its end; "" if no fault was found. */
	char fault[320];
	/* How much of the file was read; never more than ZP_ELF_BUDGET_BYTES. */
	uint64_t bytes_read;
};

/*
 * Reads the file behind fd. Returns 0, with report->fault set if the file has a fault, or -errno if it could not be
 * read. The content of the file is not trusted: every offset and size in it is checked against the size of the file,
 * and no more than ZP_ELF_BUDGET_BYTES are read, however large the tables claim to be.
 */
int zp_elf_examine(int fd, struct zp_elf_report *report);

#endif

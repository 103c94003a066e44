/* SPDX-License-Identifier: MIT
 *
 * table.h - a table of records by number, which stay where they are
 *
 * Entries get memory a page at a time, from the front, and lose it from the back.  They lie in blocks of address space,
 * each as large as all before it, so an entry's address never changes and is read without a lock.  The caller
 * serialises growth and trim, and decides which numbers are free.
 */
#ifndef ZP_SUPPORT_TABLE_H
#define ZP_SUPPORT_TABLE_H

#include "pages.h"

enum { ZP_TABLE_BLOCK_SHIFT = 10, ZP_TABLE_BLOCK_COUNT = 15 };
#define ZP_TABLE_ENTRIES_MAX (UINT32_C(1) << (ZP_TABLE_BLOCK_SHIFT + ZP_TABLE_BLOCK_COUNT - 1))

struct zp_table {
	uintptr_t base[ZP_TABLE_BLOCK_COUNT]; /* address that entry 0 would have if the block began with it */
	void *blocks[ZP_TABLE_BLOCK_COUNT];
	uint32_t ready; /* entries that have memory */
	uint32_t entry_bytes;
};

void zp_table_init(struct zp_table *table, uint32_t entry_bytes);
void zp_table_fini(struct zp_table *table, struct zp_pages *pages);

/*
 * Memory for one entry at least behind those that are ready; it reads as zero.  0 or -ENOMEM, or what the source gave.
 */
int zp_table_grow(struct zp_table *table, struct zp_pages *pages, zpool_gfp_t gfp);

/*
 * Takes memory from the entries from `end` on.  Does nothing where the page source may forbid reading it afterwards,
 * for other threads may look at an entry that has just gone.
 */
void zp_table_trim(struct zp_table *table, struct zp_pages *pages, uint32_t end);

static inline unsigned int zp_table_block(uint32_t number)
{
	return (unsigned int)(31 - ZP_TABLE_BLOCK_SHIFT + 1) -
	       (unsigned int)__builtin_clz(number | ((1u << ZP_TABLE_BLOCK_SHIFT) - 1));
}

/* entry_bytes is the table's, given as a constant for the compiler's sake. */
static inline void *zp_table_at(const struct zp_table *table, uint32_t number, size_t entry_bytes)
{
	return (void *)(table->base[zp_table_block(number)] + (uintptr_t)number * entry_bytes);
}

#endif

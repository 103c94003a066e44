/* SPDX-License-Identifier: MIT
 *
 * table.h - a table of records by number, whose addresses never change
 *
 * Entries get memory a page at a time, from the front, and lose it from the back.  They are in blocks of address space,
 * each as large as all before it together, so that an entry's address never changes and is read without a lock.  The
 * caller serialises growth and trim, and decides which numbers are free.
 */
#ifndef ZP_SUPPORT_TABLE_H
#define ZP_SUPPORT_TABLE_H

#include "pages.h"

enum { ZP_TABLE_BLOCK_SHIFT = 10, ZP_TABLE_BLOCK_COUNT = 21 };
#define ZP_TABLE_ENTRIES_MAX (UINT32_C(1) << (ZP_TABLE_BLOCK_SHIFT + ZP_TABLE_BLOCK_COUNT - 1))

struct zp_table {
	uintptr_t base[ZP_TABLE_BLOCK_COUNT]; /* address that entry 0 would have if the block began with it */
	void *blocks[ZP_TABLE_BLOCK_COUNT];
	uint32_t ready; /* number of entries that have memory */
	uint32_t entry_bytes;
};

/* entry_bytes is at least 1 and at most ZP_PAGE_BYTES. */
void zp_table_init(struct zp_table *table, uint32_t entry_bytes);
void zp_table_fini(struct zp_table *table, struct zp_pages *pages);

/*
 * Commits memory for at least one more entry, which reads as zero.  Returns 0 or -ENOMEM, or the error of the source.
 */
int zp_table_grow(struct zp_table *table, struct zp_pages *pages, zpool_gfp_t gfp);

/*
 * Releases the memory of the entries from `end` on.  Does nothing if the page source may forbid reading released
 * memory, because other threads may read an entry that has just been released.
 */
void zp_table_trim(struct zp_table *table, struct zp_pages *pages, uint32_t end);

static inline unsigned int zp_table_block(uint32_t number)
{
	return (unsigned int)(31 - ZP_TABLE_BLOCK_SHIFT + 1) -
	       (unsigned int)__builtin_clz(number | ((1u << ZP_TABLE_BLOCK_SHIFT) - 1));
}

/* entry_bytes is that of the table, passed as a constant so that the compiler can use it. */
static inline void *zp_table_at(const struct zp_table *table, uint32_t number, size_t entry_bytes)
{
	return (void *)(table->base[zp_table_block(number)] + (uintptr_t)number * entry_bytes);
}

#endif

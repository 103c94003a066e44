/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <errno.h>
#include <string.h>

#include "table.h"

static uint32_t block_first(unsigned int block)
{
	return block ? UINT32_C(1) << (ZP_TABLE_BLOCK_SHIFT + block - 1) : 0;
}

static uint32_t block_entries(unsigned int block)
{
	return block ? block_first(block) : UINT32_C(1) << ZP_TABLE_BLOCK_SHIFT;
}

static size_t whole_pages(size_t bytes)
{
	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

static size_t block_bytes(const struct zp_table *table, unsigned int block)
{
	return whole_pages((size_t)block_entries(block) * table->entry_bytes);
}

/* Returns how many bytes of a block have memory. */
static size_t ready_bytes(const struct zp_table *table, unsigned int block)
{
	uint32_t first = block_first(block), inside = table->ready <= first ? 0 : table->ready - first;

	if (inside >= block_entries(block))
		return block_bytes(table, block);
	return whole_pages((size_t)inside * table->entry_bytes);
}

void zp_table_init(struct zp_table *table, uint32_t entry_bytes)
{
	*table = (struct zp_table){ .entry_bytes = entry_bytes };
}

void zp_table_fini(struct zp_table *table, struct zp_pages *pages)
{
	for (unsigned int block = 0; block < ZP_TABLE_BLOCK_COUNT && table->blocks[block]; block++)
		zp_pages_meta_release(pages, table->blocks[block], block_bytes(table, block),
				      ready_bytes(table, block));
}

int zp_table_grow(struct zp_table *table, struct zp_pages *pages, zpool_gfp_t gfp)
{
	unsigned int block = zp_table_block(table->ready);
	uint32_t first = block_first(block);

	if (block >= ZP_TABLE_BLOCK_COUNT)
		return -ENOMEM;
	if (!table->blocks[block]) {
		void *address = gfp & ZPOOL_GFP_NOWAIT ? NULL : zp_pages_meta_reserve(pages, block_bytes(table, block));

		if (!address)
			return -ENOMEM;
		table->blocks[block] = address;
		table->base[block] = (uintptr_t)address - (uintptr_t)first * table->entry_bytes;
	}
	size_t done = ready_bytes(table, block);
	int err = zp_pages_meta_commit(pages, (char *)table->blocks[block] + done, ZP_PAGE_BYTES, gfp);
	if (err)
		return err;
	uint32_t inside = (uint32_t)((done + ZP_PAGE_BYTES) / table->entry_bytes);
	table->ready = first + (inside < block_entries(block) ? inside : block_entries(block));
	return 0;
}

/*
 * Trims the last block that has memory.  Returns true if all of it was released, so that the block before it is next.
 */
static bool trim_last_block(struct zp_table *table, struct zp_pages *pages, uint32_t end)
{
	if (table->ready == 0)
		return false;
	unsigned int block = zp_table_block(table->ready - 1);
	uint32_t first = block_first(block);
	size_t keep = whole_pages(end > first ? (size_t)(end - first) * table->entry_bytes : 0);
	size_t ready = ready_bytes(table, block);

	if (ready <= keep || zp_pages_meta_decommit(pages, (char *)table->blocks[block] + keep, ready - keep))
		return false;
	/* Of an entry that lies on two pages, the first part stays; it must read as zero when the table grows again. */
	size_t inside = keep / table->entry_bytes;
	memset((char *)table->blocks[block] + inside * table->entry_bytes, 0, keep - inside * table->entry_bytes);
	table->ready = first + (uint32_t)inside;
	return keep == 0;
}

void zp_table_trim(struct zp_table *table, struct zp_pages *pages, uint32_t end)
{
	while (zp_pages_decommitted_readable(pages) && trim_last_block(table, pages, end))
		continue;
}

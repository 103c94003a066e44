/* SPDX-License-Identifier: MIT
 *
 * z3fold_record.c - the table of page records
 *
 * Records are found by page number.  Address space for them is reserved in blocks; each block has records for as many
 * pages as all blocks before it together.  Memory is committed in units of 512 records, which are five pages, when the
 * driver gets the first page of a unit.  A trim decommits units of which no page is in use.  The pool's lock guards the
 * contents of records, and record_lock guards whether they are committed.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "z3fold.h"

enum { UNIT_RECORDS = 1 << Z3FOLD_UNIT_SHIFT, UNIT_BYTES = sizeof(struct z3fold_page) << Z3FOLD_UNIT_SHIFT };

/* Limits for one hold of the lock during a trim: units to look at, and units to decommit. */
enum { TRIM_LOOKS = 1024, TRIM_ASKED = 4 };

enum { UNITS_MAX = 1 << (ZP_PGNO_BITS - Z3FOLD_UNIT_SHIFT) };

static uint32_t block_first_page(unsigned int block)
{
	return block ? 1u << (Z3FOLD_BLOCK_SHIFT - 1 + block) : 0;
}

static uint32_t block_units(unsigned int block)
{
	return (block ? block_first_page(block) : 1u << Z3FOLD_BLOCK_SHIFT) / UNIT_RECORDS;
}

static struct z3fold_unit *unit_of(struct z3fold_pool *pool, uint32_t pgno)
{
	unsigned int block = z3fold_block_of(pgno);

	return &pool->blocks[block].units[(pgno - block_first_page(block)) >> Z3FOLD_UNIT_SHIFT];
}

static void *unit_records(struct z3fold_block *block, uint32_t unit)
{
	return (char *)block->units + block->head_bytes + (size_t)unit * UNIT_BYTES;
}

/* The caller holds record_lock. */
static int block_reserve(struct z3fold_pool *pool, unsigned int number)
{
	struct z3fold_block *block = &pool->blocks[number];
	size_t units_bytes = block_units(number) * sizeof(struct z3fold_unit);
	size_t head_bytes = (units_bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
	size_t bytes = head_bytes + (size_t)block_units(number) * UNIT_BYTES;
	void *units = zp_pages_meta_reserve(&pool->pages, bytes);
	int err;

	if (!units)
		return -ENOMEM;
	err = zp_pages_meta_commit(&pool->pages, units, head_bytes, ZPOOL_GFP_KERNEL);
	if (err) {
		zp_pages_meta_release(&pool->pages, units, bytes, 0);
		return err;
	}
	block->units = units;
	block->head_bytes = head_bytes;
	block->bytes = bytes;
	block->base = (uintptr_t)units + head_bytes - (uintptr_t)block_first_page(number) * sizeof(struct z3fold_page);
	return 0;
}

static int unit_commit(struct z3fold_pool *pool, uint32_t pgno, zpool_gfp_t gfp)
{
	unsigned int number = z3fold_block_of(pgno);
	struct z3fold_block *block = &pool->blocks[number];
	struct z3fold_unit *unit;
	int err = 0;

	if (!block->units)
		err = gfp & ZPOOL_GFP_NOWAIT ? -ENOMEM : block_reserve(pool, number);
	if (err)
		return err;
	unit = unit_of(pool, pgno);
	if (unit->committed)
		return 0;
	err = zp_pages_meta_commit(&pool->pages, unit_records(block, (uint32_t)(unit - block->units)), UNIT_BYTES, gfp);
	if (!err)
		unit->committed = 1;
	return err;
}

int z3fold_record_get(struct z3fold_pool *pool, uint32_t pgno, zpool_gfp_t gfp)
{
	int err;

	if (!(gfp & ZPOOL_GFP_NOWAIT))
		zp_lock(&pool->record_lock);
	else if (!zp_trylock(&pool->record_lock))
		return -EAGAIN;
	err = unit_commit(pool, pgno, gfp);
	if (!err)
		atomic_fetch_add_explicit(&unit_of(pool, pgno)->in_use, 1, memory_order_relaxed);
	zp_unlock(&pool->record_lock);
	if (!err)
		z3fold_page_init(pool, pgno);
	return err;
}

void z3fold_page_put(struct z3fold_pool *pool, uint32_t pgno)
{
	/* Release order: all uses of the record happen before a trim decommits its memory. */
	atomic_fetch_sub_explicit(&unit_of(pool, pgno)->in_use, 1, memory_order_release);
	zp_pages_put(&pool->pages, pgno, 1);
}

bool z3fold_record_is_ready(struct z3fold_pool *pool, uint32_t pgno)
{
	bool ready;

	zp_lock(&pool->record_lock);
	ready = pool->blocks[z3fold_block_of(pgno)].units && unit_of(pool, pgno)->committed;
	zp_unlock(&pool->record_lock);
	return ready;
}

/* Returns true if it called the page source. */
static bool unit_trim(struct z3fold_pool *pool, struct z3fold_block *block, uint32_t number)
{
	struct z3fold_unit *unit = &block->units[number];

	if (!unit->committed || atomic_load_explicit(&unit->in_use, memory_order_acquire))
		return false;
	/* If the source could not decommit the memory, the unit stays committed. */
	if (zp_pages_meta_decommit(&pool->pages, unit_records(block, number), UNIT_BYTES) == 0)
		unit->committed = 0;
	return true;
}

bool z3fold_records_trim(struct z3fold_pool *pool, uint32_t *unit)
{
	if (*unit >= UNITS_MAX)
		return false;
	unsigned int number = z3fold_block_of(*unit << Z3FOLD_UNIT_SHIFT), asked = 0;
	struct z3fold_block *block = &pool->blocks[number];
	uint32_t first = block_first_page(number) >> Z3FOLD_UNIT_SHIFT, end = first + block_units(number);

	zp_lock(&pool->record_lock);
	if (!block->units)
		*unit = end;
	for (unsigned int looks = 0; looks < TRIM_LOOKS && asked < TRIM_ASKED && *unit < end; looks++)
		asked += unit_trim(pool, block, (*unit)++ - first);
	zp_unlock(&pool->record_lock);
	return *unit < UNITS_MAX;
}

void z3fold_records_fini(struct z3fold_pool *pool)
{
	for (unsigned int number = 0; number < Z3FOLD_BLOCKS; number++) {
		struct z3fold_block *block = &pool->blocks[number];
		size_t committed_bytes = block->head_bytes;

		if (!block->units)
			continue;
		for (uint32_t unit = 0; unit < block_units(number); unit++)
			committed_bytes += block->units[unit].committed ? UNIT_BYTES : 0;
		zp_pages_meta_release(&pool->pages, block->units, block->bytes, committed_bytes);
		block->units = NULL;
	}
}

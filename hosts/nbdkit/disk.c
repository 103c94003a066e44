/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "disk.h"
#include "nbdkit.h"
#include "stripes.h"

/*
 * Trimming scattered units leaves holes in the pool.  Each time LOOK_AFTER_BYTES have been trimmed, the disk checks the
 * pool, and compacts it for a moment if the pool holds a quarter more than the data that is stored in it.
 */
#define LOOK_AFTER_BYTES (UINT64_C(2) << 20)
#define COMPACT_BYTES (LOOK_AFTER_BYTES * 4)
#define COMPACT_NS UINT64_C(20000000)
#define SPARED_BYTES (UINT64_C(1) << 20)

struct disk {
	struct zpool_store *store;
	uint64_t size_bytes;
	size_t unit_bytes;
	_Atomic uint64_t trimmed_bytes; /* since the pool was last checked */
	atomic_flag is_compacting;
	bool is_limited;
	/* A request that changes a unit holds the unit's stripe. */
	struct stripes stripes;
};

struct zpool_store *disk_store(struct disk *disk)
{
	return disk->store;
}

static struct zpool_store *open_store(const struct settings *settings, struct backing *backing)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = settings->driver;
	args.compressor = settings->compressor;
	args.name = "nbdkit";
	args.unit_bytes = settings->unit_bytes;
	args.unit_count = (settings->size_bytes - 1) / settings->unit_bytes + 1;
	args.limit_bytes = settings->limit_bytes;
	args.dictionary = settings->dictionary;
	args.dictionary_bytes = settings->dictionary_bytes;
	args.train_units = settings->train_units;
	backing_set(backing, settings, &args);
	return zpool_store_open(&args, sizeof(args));
}

/* The limit is that of the store, or one in the spec of its pool. */
static bool has_limit(const struct settings *settings)
{
	const char *in_spec = strstr(settings->driver, ":limit=");

	if (!in_spec)
		in_spec = strstr(settings->driver, ",limit=");
	return settings->limit_bytes || (in_spec && strtoull(in_spec + strlen(":limit="), NULL, 10));
}

struct disk *disk_open(const struct settings *settings, struct backing *backing)
{
	struct disk *disk = aligned_alloc(_Alignof(struct disk), sizeof(*disk));

	if (!disk) {
		nbdkit_error("there is no memory for the disk");
		return NULL;
	}
	*disk = (struct disk){
		.store = open_store(settings, backing),
		.size_bytes = settings->size_bytes,
		.unit_bytes = (size_t)settings->unit_bytes,
		.is_limited = has_limit(settings),
		.is_compacting = ATOMIC_FLAG_INIT,
	};
	if (!disk->store) {
		nbdkit_error("%s", zpool_last_error());
		free(disk);
		return NULL;
	}
	stripes_init(&disk->stripes);
	return disk;
}

void disk_close(struct disk *disk)
{
	if (!disk)
		return;
	zpool_store_close(disk->store);
	stripes_fini(&disk->stripes);
	free(disk);
}

/*
 * Translates an error of the store into one of the protocol's errors.  A disk at its limit reports ENOSPC and not
 * ENOMEM, because programs handle ENOSPC, and some wait for space.  An error of the backing is EIO unless the protocol
 * has a better name for it.
 */
static int client_error(const struct disk *disk, int err)
{
	switch (err) {
	case -ENOMEM:
		return disk->is_limited ? ENOSPC : ENOMEM;
	case -EDQUOT:
	case -EFBIG:
	case -ENOSPC:
		return ENOSPC;
	case -EPERM:
	case -EROFS:
		return EPERM;
	case -ESHUTDOWN:
		return ESHUTDOWN;
	default:
		return EIO;
	}
}

static int fail(const struct disk *disk, int err)
{
	nbdkit_error("%s", zpool_last_error());
	nbdkit_set_error(client_error(disk, err));
	return -1;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Pieces: the part of a request that lies in one unit
 */

struct piece {
	uint64_t unit;
	size_t at; /* the offset in the unit */
	size_t bytes;
};

static struct piece first_piece(const struct disk *disk, uint64_t offset, uint64_t bytes)
{
	struct piece piece = { .unit = offset / disk->unit_bytes, .at = (size_t)(offset % disk->unit_bytes) };
	size_t rest = disk->unit_bytes - piece.at;

	piece.bytes = bytes < rest ? (size_t)bytes : rest;
	return piece;
}

/* Allocates room for a unit, when a piece first needs it. */
static unsigned char *get_scratch(const struct disk *disk, unsigned char **scratch)
{
	if (!*scratch)
		*scratch = malloc(disk->unit_bytes);
	if (!*scratch) {
		nbdkit_error("there is no memory for a unit");
		nbdkit_set_error(ENOMEM);
	}
	return *scratch;
}

/* Reads a whole unit.  A unit that is not stored reads as zero. */
static int read_unit(struct disk *disk, uint64_t unit, unsigned char *to)
{
	int64_t bytes = zpool_store_get(disk->store, unit, to, disk->unit_bytes);

	if (bytes == -ENOENT)
		bytes = 0;
	if (bytes < 0)
		return fail(disk, (int)bytes);
	memset(to + bytes, 0, disk->unit_bytes - (size_t)bytes);
	return 0;
}

static int read_piece(struct disk *disk, struct piece piece, unsigned char *to, unsigned char **scratch)
{
	unsigned char *unit;

	if (piece.bytes == disk->unit_bytes)
		return read_unit(disk, piece.unit, to);
	unit = get_scratch(disk, scratch);
	if (!unit || read_unit(disk, piece.unit, unit))
		return -1;
	memcpy(to, unit + piece.at, piece.bytes);
	return 0;
}

int disk_read(struct disk *disk, void *buf, size_t bytes, uint64_t offset)
{
	unsigned char *scratch = NULL;
	unsigned char *to = buf;
	int result = 0;

	while (bytes && !result) {
		struct piece piece = first_piece(disk, offset, bytes);

		result = read_piece(disk, piece, to, &scratch);
		to += piece.bytes;
		offset += piece.bytes;
		bytes -= piece.bytes;
	}
	free(scratch);
	return result;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Write
 */

/* The caller holds the unit's lock. */
static int write_unit(struct disk *disk, uint64_t unit, const unsigned char *from)
{
	int err = zpool_store_put(disk->store, unit, from, disk->unit_bytes);

	return err ? fail(disk, err) : 0;
}

/* Changes a part of a unit.  The caller holds the unit's lock. */
static int change_unit(struct disk *disk, struct piece piece, const unsigned char *from, unsigned char **scratch)
{
	unsigned char *unit = get_scratch(disk, scratch);

	if (!unit || read_unit(disk, piece.unit, unit))
		return -1;
	memcpy(unit + piece.at, from, piece.bytes);
	return write_unit(disk, piece.unit, unit);
}

static int write_piece(struct disk *disk, struct piece piece, const unsigned char *from, unsigned char **scratch)
{
	int result;

	stripes_lock(&disk->stripes, piece.unit, 1);
	if (piece.bytes == disk->unit_bytes)
		result = write_unit(disk, piece.unit, from);
	else
		result = change_unit(disk, piece, from, scratch);
	stripes_unlock(&disk->stripes, piece.unit, 1);
	return result;
}

int disk_write(struct disk *disk, const void *buf, size_t bytes, uint64_t offset)
{
	const unsigned char *from = buf;
	unsigned char *scratch = NULL;
	int result = 0;

	while (bytes && !result) {
		struct piece piece = first_piece(disk, offset, bytes);

		result = write_piece(disk, piece, from, &scratch);
		from += piece.bytes;
		offset += piece.bytes;
		bytes -= piece.bytes;
	}
	free(scratch);
	return result;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Zero and trim
 */

static void compact(struct disk *disk)
{
	struct zpool_store_stats stats;

	if (atomic_flag_test_and_set(&disk->is_compacting))
		return;
	atomic_store(&disk->trimmed_bytes, 0);
	if (!zpool_store_get_stats(disk->store, &stats, sizeof(stats)) &&
	    stats.pool_bytes > stats.stored_bytes + stats.stored_bytes / 4 + SPARED_BYTES)
		(void)zpool_store_compact(disk->store, COMPACT_BYTES, COMPACT_NS);
	atomic_flag_clear(&disk->is_compacting);
}

static int zero_units(struct disk *disk, uint64_t first, uint64_t count, bool is_hole)
{
	int err;

	stripes_lock(&disk->stripes, first, count);
	if (is_hole)
		err = zpool_store_drop_range(disk->store, first, count);
	else
		err = zpool_store_zero_range(disk->store, first, count);
	stripes_unlock(&disk->stripes, first, count);
	if (err)
		return fail(disk, err);
	if (atomic_fetch_add(&disk->trimmed_bytes, count * disk->unit_bytes) >= LOOK_AFTER_BYTES)
		compact(disk);
	return 0;
}

/*
 * Zeroes a part of a unit.  Returns 0 and sets *err to 0 or to the error of the store that kept the unit unchanged, or
 * returns -1 after it reported another error.
 */
static int try_zero_piece(struct disk *disk, struct piece piece, unsigned char **scratch, int *err)
{
	uint64_t count;
	int result = 0;

	*err = 0;
	stripes_lock(&disk->stripes, piece.unit, 1);
	if (zpool_store_next_extent(disk->store, piece.unit, 1, &count) == ZPOOL_STORE_DATA) {
		unsigned char *unit = get_scratch(disk, scratch);

		result = unit ? read_unit(disk, piece.unit, unit) : -1;
		if (!result) {
			memset(unit + piece.at, 0, piece.bytes);
			*err = zpool_store_put(disk->store, piece.unit, unit, disk->unit_bytes);
		}
	}
	stripes_unlock(&disk->stripes, piece.unit, 1);
	return result;
}

/*
 * The store makes the new object of a unit before it frees the old one, so a full disk may have no room for it.
 * Compaction often finds some.  A trim is a hint, which the protocol lets a server ignore: a client that trims because
 * the disk is full is served better if the piece keeps its contents than with an error.
 */
static int zero_piece(struct disk *disk, struct piece piece, enum disk_zero_mode mode)
{
	unsigned char *scratch = NULL;
	int err;
	int result = try_zero_piece(disk, piece, &scratch, &err);

	if (err == -ENOMEM) {
		(void)zpool_store_compact(disk->store, COMPACT_BYTES, COMPACT_NS);
		result = try_zero_piece(disk, piece, &scratch, &err);
	}
	free(scratch);
	if (mode == DISK_TRIM && (err == -ENOMEM || err == -ENOSPC)) {
		nbdkit_debug("zpool: a part of a unit is not trimmed: %s", zpool_last_error());
		return 0;
	}
	return err ? fail(disk, err) : result;
}

int disk_zero(struct disk *disk, uint64_t bytes, uint64_t offset, enum disk_zero_mode mode)
{
	while (bytes) {
		struct piece piece = first_piece(disk, offset, bytes);
		uint64_t count = bytes / disk->unit_bytes;
		uint64_t done = count * disk->unit_bytes;
		int result;

		/* The last unit of the disk counts as whole, even if the disk ends inside it. */
		if (!piece.at && bytes - done && offset + bytes == disk->size_bytes) {
			count++;
			done = bytes;
		}
		if (!piece.at && count) {
			result = zero_units(disk, piece.unit, count, mode != DISK_ZERO);
		} else {
			result = zero_piece(disk, piece, mode);
			done = piece.bytes;
		}
		if (result)
			return result;
		offset += done;
		bytes -= done;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The backing
 */

int disk_flush(struct disk *disk)
{
	int err = zpool_store_flush(disk->store);

	return err ? fail(disk, err) : 0;
}

/* Returns the number of units in which a range lies. */
static uint64_t units_of(const struct disk *disk, uint64_t bytes, uint64_t offset)
{
	return (offset + bytes - 1) / disk->unit_bytes - offset / disk->unit_bytes + 1;
}

int disk_sync(struct disk *disk, uint64_t bytes, uint64_t offset)
{
	int err = 0;

	if (bytes)
		err = zpool_store_sync(disk->store, offset / disk->unit_bytes, units_of(disk, bytes, offset));
	return err ? fail(disk, err) : 0;
}

int disk_prefetch(struct disk *disk, uint64_t bytes, uint64_t offset)
{
	int err = 0;

	if (bytes)
		err = zpool_store_prefetch(disk->store, offset / disk->unit_bytes, units_of(disk, bytes, offset));
	return err ? fail(disk, err) : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Extents
 */

static uint32_t extent_type(int kind)
{
	switch (kind) {
	case ZPOOL_STORE_HOLE:
		return NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
	case ZPOOL_STORE_ZERO:
		return NBDKIT_EXTENT_ZERO;
	default:
		return 0;
	}
}

/* An extent must not exceed the request: one of 4 GiB makes nbdkit 1.32 fail an assertion. */
int disk_extents(struct disk *disk, uint64_t bytes, uint64_t offset, bool only_first, struct nbdkit_extents *extents)
{
	uint64_t end = offset + bytes;

	while (offset < end) {
		struct piece piece = first_piece(disk, offset, end - offset);
		uint64_t units = units_of(disk, end - offset, offset);
		int kind = zpool_store_next_extent(disk->store, piece.unit, units, &units);
		uint64_t next = (piece.unit + units) * disk->unit_bytes;

		if (kind < 0)
			return fail(disk, kind);
		if (next > end)
			next = end;
		if (nbdkit_add_extent(extents, offset, next - offset, extent_type(kind)))
			return -1;
		if (only_first)
			break;
		offset = next;
	}
	return 0;
}

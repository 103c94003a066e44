/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "store-model.h"

#include <errno.h>
#include <unistd.h>

enum { TRIES = 40 };

uint64_t store_key(const struct store_world *world, unsigned int number)
{
	if (world->backing || world->args.unit_count || number < STORE_NEAR_KEYS)
		return number;
	if (number == STORE_KEYS - 1)
		return UINT64_MAX;
	return (UINT64_C(1) << (number - STORE_NEAR_KEYS) * 2) * 64 + number;
}

bool store_may_fail(const struct store_world *world)
{
	return world->failing || world->stack.fails;
}

void store_heal(struct store_world *world)
{
	if (world->backing && world->backing != STORE_FILE)
		image_fail(&world->image, 0, 0, 0);
	world->failing = false;
}

void store_make_value(struct store_world *world, struct fuzz_input *input, struct store_value *value)
{
	uint8_t kind = fuzz_byte(input), seed = fuzz_byte(input);
	uint64_t word = seed * UINT64_C(0x0101010101010101) * (kind & 1) + seed * (kind & 2);

	value->known = true;
	value->length = world->unit_bytes;
	if (kind >= 0x80 && !world->backing)
		value->length = 1 + (size_t)fuzz_number(input, 2) % world->unit_bytes;
	if ((kind & 0x0c) == 0)
		for (size_t i = 0; i < value->length; i++)
			value->bytes[i] = ((unsigned char *)&word)[i % sizeof(word)];
	else
		fuzz_fill(value->bytes, value->length, (uint32_t)seed * 2 + (kind & 4 ? 1 : 0));
}

static void set_zero(struct store_world *world, struct store_value *value)
{
	value->known = true;
	value->length = world->unit_bytes;
	memset(value->bytes, 0, world->unit_bytes);
}

/* With a backing every key has a value. */
static void set_dropped(struct store_world *world, struct store_value *value)
{
	if (world->backing)
		set_zero(world, value);
	else
		*value = (struct store_value){ .known = true };
}

/* ------------------------------------------------------------------------------------------------------------------
 * Values that a failed call may or may not have changed
 */

/*
 * The value must be the old one or the new one.  With `heal`, the backing works again from now on; otherwise a value
 * that cannot be read at present is the old one, because a new one that was not written stays in memory.
 */
static void settle(struct store_world *world, unsigned int number, const struct store_value *new_value, bool heal)
{
	struct store_value *value = &world->values[number];
	unsigned char found[STORE_UNIT_BYTES_MAX];
	int tries = heal ? TRIES : 1;
	int64_t length = -1;

	if (heal)
		store_heal(world);
	while (tries-- && length < 0 && length != -ENOENT)
		length = zpool_store_get(world->store, store_key(world, number), found, sizeof(found));
	if (length < 0 && length != -ENOENT) {
		fuzz_assert(!heal || world->stack.fails);
		if (world->stack.fails)
			value->known = false;
		return;
	}
	if (length == -ENOENT)
		length = 0;
	if (value->known && (size_t)length == value->length && !memcmp(found, value->bytes, value->length))
		return;
	if ((size_t)length == new_value->length && !memcmp(found, new_value->bytes, new_value->length)) {
		*value = *new_value;
		return;
	}
	fuzz_check(!value->known, "key %u has neither its old nor its new value", number);
	value->known = true;
	value->length = (size_t)length;
	memcpy(value->bytes, found, value->length);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Calls
 */

static void check_put_error(struct store_world *world, int err)
{
	if (store_may_fail(world))
		return;
	if (world->backing)
		fuzz_check(0, "%d: %s", err, zpool_last_error());
	fuzz_check((err == -ENOMEM && (world->limit || strstr(world->stack.spec, "limit="))) || err == -ENOSPC,
		   "%d: %s", err, zpool_last_error());
}

void store_put(struct store_world *world, unsigned int number, const struct store_value *value)
{
	int err = zpool_store_put(world->store, store_key(world, number), value->bytes, value->length);

	fuzz_say("%s key %u: %d", "put", number, err);
	if (!err) {
		world->values[number] = *value;
		return;
	}
	check_put_error(world, err);
	/* Without a backing, the key keeps its old value after a failure. */
	if (world->threads)
		world->values[number].known = false;
	else if (world->backing || !world->values[number].known)
		settle(world, number, value, !world->values[number].known);
}

void store_get(struct store_world *world, unsigned int number, size_t room)
{
	const struct store_value *value = &world->values[number];
	unsigned char *found = malloc(room ? room : 1);
	int64_t length;

	fuzz_assert(found);
	length = zpool_store_get(world->store, store_key(world, number), found, room);
	if (!value->known)
		fuzz_assert(length <= (int64_t)room);
	else if (length == -ENOENT)
		fuzz_check(!value->length, "the value of key %u is gone", number);
	else if (length == -ENOBUFS)
		fuzz_assert(value->length > room);
	else if (length < 0)
		fuzz_check(store_may_fail(world), "key %u: %lld: %s", number, (long long)length, zpool_last_error());
	else
		fuzz_check((size_t)length == value->length && !memcmp(found, value->bytes, value->length),
			   "key %u has %lld bytes, which are not its %zu", number, (long long)length, value->length);
	free(found);
}

void store_drop(struct store_world *world, unsigned int number)
{
	struct store_value *value = &world->values[number], dropped;
	int err = zpool_store_drop(world->store, store_key(world, number));

	set_dropped(world, &dropped);
	if (err == -ENOENT) {
		fuzz_assert(!value->known || !value->length);
	} else if (err) {
		fuzz_check(store_may_fail(world), "%d: %s", err, zpool_last_error());
		if (world->threads)
			value->known = false;
		else
			settle(world, number, &dropped, true);
		return;
	}
	*value = dropped;
}

/* The range does not contain far keys unless it is that of all keys. */
void store_clear(struct store_world *world, unsigned int first, unsigned int count, bool is_hole)
{
	bool all = first == 0 && count == STORE_KEYS && is_hole && !world->backing && !world->args.unit_count;
	uint64_t first_key = store_key(world, first);
	struct store_value cleared;
	int err;

	if (all)
		err = zpool_store_drop_range(world->store, 0, UINT64_MAX) |
		      zpool_store_drop_range(world->store, 1, UINT64_MAX);
	else if (is_hole)
		err = zpool_store_drop_range(world->store, first_key, count);
	else
		err = zpool_store_zero_range(world->store, first_key, count);
	if (is_hole)
		set_dropped(world, &cleared);
	else
		set_zero(world, &cleared);
	if (err)
		fuzz_check(store_may_fail(world) || (err == -ENOMEM && world->limit), "%d: %s", err,
			   zpool_last_error());
	for (unsigned int i = first; i < first + count; i++)
		if (err)
			settle(world, i, &cleared, true);
		else
			world->values[i] = cleared;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The store as a whole
 */

void store_compare_all(struct store_world *world)
{
	for (unsigned int i = 0; i < STORE_KEYS; i++)
		store_get(world, i, world->unit_bytes);
}

void store_compare_backing(const struct store_world *world, unsigned int first, unsigned int count)
{
	unsigned char unit[STORE_UNIT_BYTES_MAX];

	for (unsigned int i = first; world->backing && i < first + count; i++) {
		const unsigned char *found = unit;

		if (world->backing == STORE_FILE)
			fuzz_assert(pread(world->fd, unit, world->unit_bytes, (off_t)(i * world->unit_bytes)) ==
				    (ssize_t)world->unit_bytes);
		else
			found = world->image.data + i * world->unit_bytes;
		fuzz_check(!world->values[i].known || !memcmp(found, world->values[i].bytes, world->unit_bytes),
			   "unit %u differs in the backing", i);
	}
}

static bool is_zero(const struct store_world *world, const struct store_value *value)
{
	static const unsigned char zero[STORE_UNIT_BYTES_MAX];

	return value->length == world->unit_bytes && !memcmp(value->bytes, zero, value->length);
}

static void compare_extent(const struct store_world *world, const struct store_value *value, int kind)
{
	if (!value->known)
		return;
	if (!world->backing)
		fuzz_check((kind == ZPOOL_STORE_HOLE) == (value->length == 0) &&
				   (kind == ZPOOL_STORE_ZERO) == is_zero(world, value),
			   "the extent is %d, and the value has %zu bytes", kind, value->length);
	else if (kind != ZPOOL_STORE_DATA)
		fuzz_check(is_zero(world, value), "the extent is %d, and the value is not zero", kind);
}

void store_compare_extents(struct store_world *world)
{
	const unsigned int end = world->backing || world->args.unit_count ? STORE_KEYS : STORE_NEAR_KEYS;

	for (unsigned int at = 0; at < end;) {
		uint64_t count = 0;
		int kind = zpool_store_next_extent(world->store, at, end - at, &count);

		fuzz_check(kind >= 0 || store_may_fail(world), "%d: %s", kind, zpool_last_error());
		if (kind < 0)
			return;
		fuzz_assert(count >= 1 && count <= end - at);
		for (uint64_t i = 0; i < count; i++)
			compare_extent(world, &world->values[at + i], kind);
		at += (unsigned int)count;
	}
}

/* SPDX-License-Identifier: MIT
 *
 * store.c - operations on a store, beside a model that knows every value
 *
 * The input is a stack for the pool, options, and then operations.  The backing is an image in memory whose calls fail
 * when the input says so, a file, or none.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store-model.h"

enum { THREADS = 2, THREAD_BYTES = 48, OPERATIONS_MAX = 2000, TRAININGS_MAX = 2 };

/* The store keeps so many units beyond its limit because direct writes have failed, each with a page of the index. */
enum { TORN_MAX = 16, INDEX_PAGE_BYTES = 4096 };

/* A thread uses the keys whose numbers are `first' and every `step'th after it. */
struct store_run {
	struct store_world *world;
	struct fuzz_input *input;
	unsigned int first, step;
};

static unsigned int choose_key(struct store_run *run)
{
	return run->first + fuzz_byte(run->input) % (STORE_KEYS / run->step) * run->step;
}

/* A range of near keys, or of all keys. */
static void choose_range(struct store_run *run, unsigned int *first, unsigned int *count)
{
	unsigned int end = run->world->backing || run->world->args.unit_count ? STORE_KEYS : STORE_NEAR_KEYS;

	*first = fuzz_choose(run->input, end);
	*count = 1 + fuzz_choose(run->input, end - *first);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Operations
 */

static void do_put(struct store_run *run)
{
	unsigned int number = choose_key(run);
	struct store_value value;

	store_make_value(run->world, run->input, &value);
	store_put(run->world, number, &value);
}

static void do_put_many(struct store_run *run)
{
	unsigned int count = fuzz_choose(run->input, STORE_KEYS / run->step);
	struct store_value value;

	store_make_value(run->world, run->input, &value);
	for (unsigned int i = 0; i < count; i++) {
		value.bytes[i % value.length]++;
		store_put(run->world, run->first + i * run->step, &value);
	}
}

static void do_get(struct store_run *run)
{
	unsigned int number = choose_key(run);
	uint8_t room = fuzz_byte(run->input);

	store_get(run->world, number, room < 0xf0 ? run->world->unit_bytes : (size_t)(room - 0xf0) * 100);
}

static void do_drop(struct store_run *run)
{
	store_drop(run->world, choose_key(run));
}

static void do_clear(struct store_run *run)
{
	uint8_t how = fuzz_byte(run->input);
	unsigned int first, count;

	choose_range(run, &first, &count);
	if (run->world->threads)
		return;
	if (how >= 0xf0)
		store_clear(run->world, 0, STORE_KEYS, true);
	else
		store_clear(run->world, first, count, how & 1);
}

static void check_written(struct store_run *run, int err, unsigned int first, unsigned int count)
{
	fuzz_check(!err || store_may_fail(run->world), "%d: %s", err, zpool_last_error());
	if (!err && !run->world->threads)
		store_compare_backing(run->world, first, count);
}

static void do_flush(struct store_run *run)
{
	int err = zpool_store_flush(run->world->store);

	if (!err)
		run->world->torn = false;
	check_written(run, err, 0, STORE_KEYS);
}

static void do_sync(struct store_run *run)
{
	unsigned int first, count;

	choose_range(run, &first, &count);
	check_written(run, zpool_store_sync(run->world->store, first, count), first, count);
}

static void do_prefetch(struct store_run *run)
{
	unsigned int first, count;
	int err;

	choose_range(run, &first, &count);
	err = zpool_store_prefetch(run->world->store, first, count);
	fuzz_check(!err || store_may_fail(run->world), "%d: %s", err, zpool_last_error());
}

static void do_shrink(struct store_run *run)
{
	uint64_t bytes = (uint64_t)fuzz_byte(run->input) << 10, released = UINT64_MAX;
	uint64_t before = zpool_store_get_total_size(run->world->store);
	int err = zpool_store_shrink(run->world->store, bytes, &released);

	if (!bytes)
		fuzz_assert(err == -EINVAL);
	else if (!run->world->backing)
		fuzz_assert(err == -EOPNOTSUPP);
	else
		fuzz_check(err == 0 || err == -EAGAIN || err == -EOPNOTSUPP || store_may_fail(run->world), "%d: %s",
			   err, zpool_last_error());
	if (!err && !run->world->threads)
		fuzz_check(released <= before && released >= bytes, "%llu of %llu bytes", (unsigned long long)released,
			   (unsigned long long)bytes);
}

static void do_compact(struct store_run *run)
{
	uint64_t budget = (uint64_t)fuzz_byte(run->input) << 10;
	int err = zpool_store_compact(run->world->store, budget, 0);

	fuzz_check(err == 0 || (err == 1 && budget) || run->world->stack.fails, "%d: %s", err, zpool_last_error());
}

static void train(struct store_world *world)
{
	bool can_train = world->args.train_bytes || world->args.train_units;
	int result;

	if (can_train && (world->threads || !world->trainings))
		return;
	result = zpool_store_train(world->store);
	fuzz_say("train: %d", result);
	if (!can_train) {
		fuzz_assert(result == -EOPNOTSUPP);
		return;
	}
	world->trainings--;
	fuzz_check(result == 0 || result == 1 || result == -ENODATA || result == -ENOSPC ||
			   (result == -ENOMEM && world->limit) || world->stack.fails,
		   "%d: %s", result, zpool_last_error());
}

static void do_recompress(struct store_run *run)
{
	uint8_t how = fuzz_byte(run->input);
	int err;

	if (how & 2)
		train(run->world);
	err = zpool_store_recompress(run->world->store, how & 1 ? ZPOOL_STORE_RECOMPRESS_ALL : 0, how >> 2);

	if (!run->world->args.recompressor)
		fuzz_assert(err == -EOPNOTSUPP);
	else
		fuzz_check(err == 0 || (err == 1 && how >> 2) || run->world->stack.fails, "%d: %s", err,
			   zpool_last_error());
}

static void do_set_limit(struct store_run *run)
{
	uint8_t share = fuzz_byte(run->input);
	uint64_t limit = share ? zpool_store_get_total_size(run->world->store) * share / 64 + share : 0;

	fuzz_say("limit %llu", (unsigned long long)limit);
	if (limit && strstr(run->world->stack.spec, "limit=")) {
		fuzz_assert(zpool_store_set_limit(run->world->store, limit) == -EINVAL);
		return;
	}
	/* Before the call, because another thread's put may meet the limit at once. */
	run->world->limit = run->world->threads ? STORE_LIMIT_UNKNOWN : limit;
	fuzz_assert(zpool_store_set_limit(run->world->store, limit) == 0);
}

static void do_fail(struct store_run *run)
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EOPNOTSUPP };
	uint8_t nth = fuzz_byte(run->input), count = fuzz_byte(run->input), err = fuzz_byte(run->input);

	if (!run->world->backing || run->world->backing == STORE_FILE || run->world->threads)
		return;
	run->world->failing = true;
	image_fail(&run->world->image, 1 + nth % 16, count, errors[err % 4]);
}

static void do_heal(struct store_run *run)
{
	if (!run->world->threads)
		store_heal(run->world);
}

static void do_look(struct store_run *run)
{
	struct zpool_store_stats stats;

	fuzz_assert(zpool_store_get_stats(run->world->store, &stats, sizeof(stats)) == 0);
	if (run->world->threads)
		return;
	fuzz_assert(stats.units <= STORE_KEYS && stats.dirty <= STORE_KEYS);
	fuzz_assert(stats.same_filled + stats.incompressible <= stats.units);
	fuzz_assert(!stats.damaged || run->world->stack.fails);
	fuzz_assert(stats.pool_bytes + stats.index_bytes + stats.context_bytes + stats.dictionary_bytes ==
		    zpool_store_get_total_size(run->world->store));
	store_compare_extents(run->world);
	store_compare_all(run->world);
}

static bool open_store(struct store_world *world)
{
	world->store = zpool_store_open(&world->args, sizeof(world->args));
	if (!world->store)
		fuzz_check(world->limit || world->stack.fails || strstr(world->stack.spec, "limit=") ||
				   world->args.dictionary || fuzz_stack_is_refused(&world->stack),
			   "%s: %s", world->stack.spec, zpool_last_error());
	fuzz_say("%s, units of %zu, limit %llu, backing %d, flags %#x: %s", world->stack.spec, world->unit_bytes,
		 (unsigned long long)world->limit, world->backing, world->args.flags,
		 world->store ? "opened" : zpool_last_error());
	world->total = world->store ? zpool_store_get_total_size(world->store) : 0;
	return world->store;
}

/* What was in memory is in the backing after the close; without a backing it is gone. */
static void close_store(struct store_world *world)
{
	store_heal(world);
	if (world->stack.fails) {
		int err = -1;

		for (int tries = 0; tries < 40 && err; tries++)
			err = zpool_store_flush(world->store);
		world->failing = err != 0;
	}
	zpool_store_close(world->store);
	world->store = NULL;
	if (!world->failing)
		store_compare_backing(world, 0, STORE_KEYS);
}

static void do_reopen(struct store_run *run)
{
	if (run->world->threads || run->world->stack.fails)
		return;
	close_store(run->world);
	run->world->limit = run->world->args.limit_bytes;
	if (!run->world->backing)
		for (unsigned int i = 0; i < STORE_KEYS; i++)
			run->world->values[i] = (struct store_value){ .known = true };
	for (unsigned int i = 0; i < run->world->stack.trace_count; i++)
		fuzz_assert(ftruncate(run->world->stack.traces[i], 0) == 0);
	fuzz_assert(open_store(run->world));
}

static void do_bad_arguments(struct store_run *run)
{
	struct store_world *world = run->world;
	unsigned char byte = 0;
	uint64_t count;

	fuzz_assert(zpool_store_put(world->store, 0, &byte, 0) == -EINVAL);
	fuzz_assert(zpool_store_put(world->store, 0, &byte, world->unit_bytes + 1) == -EINVAL);
	fuzz_assert(zpool_store_get(world->store, 0, NULL, 1) == -EINVAL);
	fuzz_assert(zpool_store_drop_range(world->store, 1, 0) == -EINVAL);
	fuzz_assert(zpool_store_zero_range(world->store, UINT64_MAX, 2) == -EINVAL);
	fuzz_assert(zpool_store_next_extent(world->store, 0, 0, &count) == -EINVAL);
	fuzz_assert(zpool_store_recompress(world->store, 2, 0) == -EINVAL);
	if (world->args.unit_count)
		fuzz_assert(zpool_store_drop(world->store, world->args.unit_count) == -EINVAL);
}

static void step(struct store_run *run);

/* ------------------------------------------------------------------------------------------------------------------
 * Threads
 */

static void *run_thread(void *arg)
{
	struct store_run *run = arg;

	while (!fuzz_ended(run->input))
		step(run);
	return NULL;
}

static void do_threads(struct store_run *run)
{
	struct fuzz_input inputs[THREADS];
	struct store_run runs[THREADS];
	pthread_t threads[THREADS];

	if (run->world->threads)
		return;
	run->world->threads = true;
	for (unsigned int i = 0; i < THREADS; i++) {
		inputs[i] = fuzz_part(run->input, fuzz_choose(run->input, THREAD_BYTES));
		runs[i] = (struct store_run){ run->world, &inputs[i], i, THREADS };
	}
	for (unsigned int i = 0; i < THREADS; i++)
		fuzz_assert(pthread_create(&threads[i], NULL, run_thread, &runs[i]) == 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	run->world->threads = false;
	run->world->total = zpool_store_get_total_size(run->world->store);
}

/* ------------------------------------------------------------------------------------------------------------------
 * A run
 */

static void step(struct store_run *run)
{
	static const struct {
		const char *name;
		void (*run)(struct store_run *run);
	} operations[] = {
		{ "put", do_put },
		{ "put many", do_put_many },
		{ "get", do_get },
		{ "drop", do_drop },
		{ "clear", do_clear },
		{ "flush", do_flush },
		{ "sync", do_sync },
		{ "prefetch", do_prefetch },
		{ "shrink", do_shrink },
		{ "compact", do_compact },
		{ "recompress", do_recompress },
		{ "set limit", do_set_limit },
		{ "fail", do_fail },
		{ "heal", do_heal },
		{ "look", do_look },
		{ "reopen", do_reopen },
		{ "bad arguments", do_bad_arguments },
		{ "threads", do_threads },
	};

	unsigned int chosen = fuzz_choose(run->input, sizeof(operations) / sizeof(*operations));

	fuzz_say("%s%s, %llu bytes", run->world->threads ? "    " : "", operations[chosen].name,
		 (unsigned long long)zpool_store_get_total_size(run->world->store));
	operations[chosen].run(run);
}

static void check_limit(struct store_world *world)
{
	uint64_t total = zpool_store_get_total_size(world->store);
	uint64_t within = total;

	world->torn |= world->failing;
	if (world->torn)
		within -= TORN_MAX * (world->unit_bytes + INDEX_PAGE_BYTES);
	fuzz_check(!world->limit || within <= world->limit || within <= world->total || within > total ||
			   (world->args.flags & ZPOOL_STORE_EXCEED),
		   "the limit is %llu, but the store grew from %llu to %llu", (unsigned long long)world->limit,
		   (unsigned long long)world->total, (unsigned long long)total);
	world->total = total;
}

static void choose_backing(struct store_world *world)
{
	const uint64_t bytes = world->unit_bytes * STORE_KEYS;

	if (world->backing == STORE_FILE) {
		world->fd = memfd_create("backing", MFD_CLOEXEC);
		fuzz_assert(world->fd >= 0 && ftruncate(world->fd, (off_t)bytes) == 0);
		world->args.backing_fd = world->fd;
	} else if (world->backing) {
		image_init(&world->image, bytes, world->backing == STORE_PLAIN);
		world->image.clumsy = world->backing == STORE_CLUMSY;
		world->args.backing = &world->image.backing;
	}
}

/* The dictionary is any bytes, which may begin with the magic number of zstd's dictionaries and be damaged. */
static void choose_dictionary(struct store_world *world, struct fuzz_input *input, uint8_t options)
{
	struct fuzz_input part;
	const char *second = world->args.recompressor;

	if (strncmp(world->args.compressor, "zstd", 4) && (!second || strncmp(second, "zstd", 4)))
		return;
	if (options & 32)
		world->args.train_bytes = 1024;
	if (options & 64) {
		part = fuzz_part(input, (size_t)fuzz_byte(input) * 4);
		world->args.dictionary_bytes = (uint64_t)(part.end - part.at);
		memcpy(world->dictionary, part.at, (size_t)world->args.dictionary_bytes);
		world->args.dictionary = world->dictionary;
	}
	if (options & 128)
		world->args.train_units = 20;
	world->trainings = TRAININGS_MAX;
}

static void choose_args(struct store_world *world, struct fuzz_input *input)
{
	static const char *const compressors[] = { "lz4", "none", "zstd:1", "lz4hc:3", "zstd:-5" };
	static const char *const stronger[] = { "zstd:1", "lz4hc:3", "zstd:9", "lz4" };
	uint8_t options = fuzz_byte(input), limit, second;

	world->args = (struct zpool_store_args)ZPOOL_STORE_ARGS_INIT;
	world->args.pool = world->stack.spec;
	world->args.compressor = compressors[fuzz_choose(input, 5)];
	world->backing = (enum store_backing)fuzz_choose(input, STORE_BACKINGS);
	limit = fuzz_byte(input);
	second = fuzz_byte(input);
	world->unit_bytes = (size_t)512 << (options & 3);
	world->args.unit_bytes = world->unit_bytes;
	if (world->backing || options & 4)
		world->args.unit_count = STORE_KEYS;
	if (options & 8 && world->backing)
		world->args.flags |= ZPOOL_STORE_EXCEED;
#ifdef HAVE_XXHASH
	if (options & 16)
		world->args.flags |= ZPOOL_STORE_CHECKSUM;
#endif
	if (limit && !strstr(world->stack.spec, "limit="))
		world->args.limit_bytes = (uint64_t)limit << 13;
	world->limit = world->args.limit_bytes;
	if (second & 0x80)
		world->args.recompressor = stronger[second & 3];
	world->args.accept_percent = second & 0x3f;
	choose_dictionary(world, input, options);
	choose_backing(world);
}

static void run_operations(struct store_world *world, struct fuzz_input *input)
{
	struct store_run run = { world, input, 0, 1 };

	for (unsigned int i = 0; i < OPERATIONS_MAX && !fuzz_ended(input); i++) {
		step(&run);
		check_limit(world);
	}
	store_compare_all(world);
	store_compare_extents(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store_world world;
	struct fuzz_input input = { data, data + size };

	memset(&world, 0, sizeof(world));
	world.fd = -1;
	fuzz_stack_choose(&world.stack, &input);
	choose_args(&world, &input);
	for (unsigned int i = 0; i < STORE_KEYS; i++) {
		world.values[i].known = true;
		world.values[i].length = world.backing ? world.unit_bytes : 0;
	}
	if (open_store(&world)) {
		run_operations(&world, &input);
		close_store(&world);
		fuzz_assert(!world.image.misaligned);
	}
	if (world.fd >= 0)
		close(world.fd);
	image_fini(&world.image);
	return 0;
}

const struct fuzz_target fuzz_target = { .name = "store", .runs = 200, .start = fuzz_stack_start };

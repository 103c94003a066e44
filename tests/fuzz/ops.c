/* SPDX-License-Identifier: MIT
 *
 * ops.c - operations on a pool of any stack, beside a model that knows every byte
 *
 * The input is a stack with parameters, options, and then operations: each is a byte and the bytes of its arguments.
 * In an evict callback, the next byte decides what the callback does: refuse, free, claim to have freed, or make any
 * other operation first.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops-model.h"

#include "../../tools/trace-file.h"

enum {
	DEPTH_MAX = 3,
	THREADS_MAX = OPS_SETS - 1,
	THREAD_BYTES = 64,
	OPERATIONS_MAX = 4000,
	CHILD_STEPS = 16,
	FORKS_MAX = 3
};

static _Thread_local struct ops_run *running;
static int null_fd;

static void step(struct ops_run *run);

/* ------------------------------------------------------------------------------------------------------------------
 * Operations
 */

static size_t choose_size(struct ops_run *run)
{
	unsigned int kind = fuzz_choose(run->input, 8);
	size_t largest = run->world->largest < (256u << 10) ? run->world->largest : 256u << 10;

	switch (kind) {
	case 0:
		return largest - fuzz_byte(run->input) % largest;
	case 1:
		return run->world->largest < SIZE_MAX / 4 ? run->world->largest + fuzz_byte(run->input) : 0;
	case 2:
		return 1 + (size_t)fuzz_number(run->input, 2) % largest;
	case 3:
		return fuzz_byte(run->input);
	default:
		return 1 + 16 * (size_t)fuzz_byte(run->input) % largest;
	}
}

static void do_malloc(struct ops_run *run)
{
	size_t size = choose_size(run);
	uint8_t gfp = fuzz_byte(run->input);

	ops_malloc(run, size, gfp < 240 ? gfp & ZPOOL_GFP_ALL : gfp, (uint32_t)size + gfp);
}

/* Many objects of one size fill pages, so that there is something to compact and to evict. */
static void do_malloc_many(struct ops_run *run)
{
	size_t size = choose_size(run);

	for (unsigned int count = fuzz_choose(run->input, 64); count; count--)
		ops_malloc(run, size, ZPOOL_GFP_KERNEL, (uint32_t)size + count);
}

static void do_free(struct ops_run *run)
{
	unsigned int at;

	if (ops_choose(run, &at))
		ops_free(run->world, run->set, at);
}

/* Frees every nth object, which leaves holes. */
static void do_free_many(struct ops_run *run)
{
	unsigned int nth = 1 + fuzz_choose(run->input, 5);

	for (unsigned int i = run->set->count; i > 0; i--)
		if (i % nth == 0 && i <= run->set->count)
			ops_free(run->world, run->set, i - 1);
}

static void do_map(struct ops_run *run)
{
	uint8_t how = fuzz_byte(run->input);
	unsigned int at, times = how & 0x80 ? 1 + how % 61 : 1;

	if (!ops_choose(run, &at))
		return;
	while (times--)
		ops_map(run->world, run->set, at, (enum zpool_mapmode)(how % 3), how);
}

static void do_unmap(struct ops_run *run)
{
	uint8_t how = fuzz_byte(run->input);
	unsigned int at, times = how & 0x80 ? OPS_MAPS_MAX : 1;

	if (!ops_choose(run, &at))
		return;
	do
		ops_unmap(run->world, run->set, at);
	while (--times && run->set->at[at].maps);
}

/* Chooses a range of an object; the model does not know what lies behind the bytes that were asked for. */
static bool choose_range(struct ops_run *run, unsigned int *at, size_t *offset, size_t *length)
{
	uint64_t first = fuzz_number(run->input, 2), second = fuzz_number(run->input, 2);

	if (!ops_choose(run, at))
		return false;
	*offset = first % run->set->at[*at].size;
	*length = 1 + second % (run->set->at[*at].size - *offset);
	return true;
}

static void do_read(struct ops_run *run)
{
	unsigned int at;
	size_t offset, length;

	if (choose_range(run, &at, &offset, &length))
		ops_read(run->world, run->set, at, offset, length);
}

/* The library makes no promise about a write to an object that is mapped read-only at the same time. */
static void do_write(struct ops_run *run)
{
	unsigned int at;
	size_t offset, length;

	if (choose_range(run, &at, &offset, &length) && (!run->set->at[at].maps || run->set->at[at].writable))
		ops_write(run->world, run->set, at, offset, length, (uint32_t)(offset + length));
}

static void do_shrink(struct ops_run *run)
{
	unsigned int pages = fuzz_choose(run->input, 32), reclaimed = UINT32_MAX;
	int err = zpool_shrink(run->world->pool, pages, &reclaimed);

	if (!pages || !zpool_evictable(run->world->pool))
		fuzz_assert(err == -EINVAL);
	else if (!run->world->threads)
		fuzz_check((err == 0 && reclaimed >= pages) ||
				   ((err == -EAGAIN || err == -EINVAL) && reclaimed < pages),
			   "shrink by %u pages: %d, %u reclaimed", pages, err, reclaimed);
}

static void do_compact(struct ops_run *run)
{
	uint64_t budget = fuzz_byte(run->input), released = UINT64_MAX;
	int err = zpool_compact(run->world->pool, budget << 9, budget & 1 ? 1 : 0, &released);

	fuzz_check(err == 0 || err == -EOPNOTSUPP || (err == 1 && budget), "%d: %s", err, zpool_last_error());
	if (budget & 2)
		for (int rounds = 0; err == 1; rounds++) {
			fuzz_check(rounds < 10000, "a loop of compact calls of %llu bytes does not end",
				   (unsigned long long)budget << 9);
			err = zpool_compact(run->world->pool, budget << 9, 0, NULL);
		}
}

static void do_trim(struct ops_run *run)
{
	uint64_t before = zpool_get_total_size(run->world->pool), released = UINT64_MAX;
	int err = zpool_trim(run->world->pool, &released);

	fuzz_assert(err == 0 || err == -EOPNOTSUPP);
	if (!err && !run->world->threads)
		fuzz_check(before - released == zpool_get_total_size(run->world->pool),
			   "%llu bytes before, %llu released, %llu after", (unsigned long long)before,
			   (unsigned long long)released, (unsigned long long)zpool_get_total_size(run->world->pool));
}

static void do_set_limit(struct ops_run *run)
{
	uint8_t share = fuzz_byte(run->input);
	uint64_t limit = share ? zpool_get_total_size(run->world->pool) * share / 64 + share : 0;

	fuzz_say("limit %llu", (unsigned long long)limit);
	/* An evict callback may have stored objects since the last step ended, and this limit does not forbid that. */
	run->world->total = zpool_get_total_size(run->world->pool);
	/* Before the call, because another thread's malloc may meet the limit at once. */
	run->world->limit = run->world->threads ? OPS_LIMIT_UNKNOWN : limit;
	fuzz_assert(zpool_set_limit(run->world->pool, limit) == 0);
}

static void do_set_param(struct ops_run *run)
{
	const char *key;
	char value[32];
	int err;

	if (!fuzz_stack_choose_param(&run->world->stack, run->input, &key, value, sizeof(value)))
		return;
	if (!strcmp(key, "limit"))
		run->world->limit = OPS_LIMIT_UNKNOWN;
	err = zpool_set_param(run->world->pool, key, value);
	fuzz_say("%s=%s: %d", key, value, err);
	fuzz_check(err == 0 || err == -EOPNOTSUPP || err == -EINVAL, "%s=%s: %d: %s", key, value, err,
		   zpool_last_error());
}

static void do_dead_handle(struct ops_run *run)
{
	unsigned int kind = fuzz_choose(run->input, 4), at;
	unsigned long handle = 0;

	if (kind == 0 && run->set->stale_count) {
		handle = run->set->stale[fuzz_byte(run->input) % OPS_STALE];
	} else if (kind == 1 && ops_choose(run, &at)) {
		handle = run->set->at[at].handle ^ (1ul << fuzz_choose(run->input, 8 * sizeof(handle)));
	} else if (kind == 2) {
		handle = (unsigned long)fuzz_number(run->input, 8);
	} else if (kind == 3 && !run->world->threads) {
		if (!run->world->other_pool)
			run->world->other_pool = zpool_open("zbud", NULL, 0);
		fuzz_assert(run->world->other_pool);
		(void)zpool_malloc(run->world->other_pool, 1, 0, &handle);
	}
	/* A stale handle is known to be dead in any case; other threads' handles are not known here. */
	if (kind == 0 || (!run->world->threads && !ops_is_live(run->world, handle)))
		ops_try_dead(run->world, handle);
}

static void do_bad_arguments(struct ops_run *run)
{
	struct zpool *pool = run->world->pool;
	unsigned int at;
	size_t size;
	char byte;

	fuzz_assert(zpool_malloc(pool, 1, 0, NULL) == -EINVAL);
	fuzz_assert(zpool_set_param(pool, "no_such_key", "1") == -EINVAL);
	if (!ops_choose(run, &at))
		return;
	size = (size_t)zpool_obj_size(pool, run->set->at[at].handle);
	fuzz_assert(size >= run->set->at[at].size);
	fuzz_assert(!zpool_map_handle(pool, run->set->at[at].handle, (enum zpool_mapmode)3) && errno == EINVAL);
	fuzz_assert(zpool_obj_read(pool, run->set->at[at].handle, &byte, 1, size) < 0);
	fuzz_assert(zpool_obj_write(pool, run->set->at[at].handle, &byte, 1, SIZE_MAX) < 0);
	fuzz_assert(zpool_obj_read(pool, run->set->at[at].handle, &byte, SIZE_MAX, 1) < 0);
	fuzz_assert(zpool_obj_read(pool, run->set->at[at].handle, &byte, 0, 0) < 0);
}

/* A child goes through the next operations with its copy of the pool, and the parent makes them afterwards. */
static void do_fork(struct ops_run *run)
{
	struct ops_world *world = run->world;
	int status = -1;
	pid_t child;

	if (world->threads || run->depth || world->is_child || world->forks == FORKS_MAX)
		return;
	world->forks++;
	child = fork();
	fuzz_assert(child >= 0);
	if (!child) {
		world->is_child = true;
		ops_compare_all(world);
		for (unsigned int i = 0; i < CHILD_STEPS && !fuzz_ended(run->input); i++)
			step(run);
		ops_compare_all(world);
		ops_compare_pool(world);
		zpool_destroy_pool(world->pool);
		_exit(0);
	}
	/* Signals ask an engine to end. */
	while (waitpid(child, &status, 0) < 0)
		fuzz_assert(errno == EINTR);
	fuzz_check(status == 0, "the child ended with status %#x", status);
}

/* The largest numbers fork, so that older inputs keep their meaning. */
static void do_look(struct ops_run *run)
{
	uint8_t choice = fuzz_byte(run->input);
	unsigned int how = choice % 4;

	if (choice >= 0xf8)
		do_fork(run);
	else if (how == 0)
		fuzz_assert(zpool_dump(null_fd, fuzz_choose(run->input, 2)) == 0);
	else if (!run->world->threads && !run->depth)
		how & 1 ? ops_compare_pool(run->world) : ops_compare_all(run->world);
}

static void do_compare(struct ops_run *run)
{
	unsigned int at;
	bool by_reading = fuzz_byte(run->input) & 1;

	if (ops_choose(run, &at))
		ops_compare(run->world, run->set, at, by_reading);
}

static void do_fail_source(struct ops_run *run)
{
	unsigned int call = fuzz_choose(run->input, FUZZ_SOURCE_CALLS);
	uint8_t skip = fuzz_byte(run->input), count = fuzz_byte(run->input);

	fuzz_source_fail(&run->world->source, (enum fuzz_source_call)call, skip % 16, count);
}

static void do_choose_set(struct ops_run *run)
{
	unsigned int set = fuzz_choose(run->input, OPS_SETS);

	if (!run->world->threads)
		run->set = &run->world->sets[set];
}

/* ------------------------------------------------------------------------------------------------------------------
 * Eviction
 */

static bool take_set(struct ops_world *world, struct ops_set *set)
{
	return !world->threads || set == running->set || pthread_mutex_trylock(&set->lock) == 0;
}

static void leave_set(struct ops_world *world, struct ops_set *set)
{
	if (world->threads && set != running->set)
		pthread_mutex_unlock(&set->lock);
}

/* Evicts the object of a set that the caller has taken. */
static int evict_from(struct ops_world *world, struct ops_set *set, unsigned long handle)
{
	unsigned int kind = fuzz_choose(running->input, 8), at = ops_find(set, handle);

	ops_compare(world, set, at, kind & 1);
	if (kind == 1)
		return -EBUSY;
	if (kind == 2)
		return 0;
	if (kind == 3 && running->depth < DEPTH_MAX)
		step(running);
	/* The operation may have freed the object. */
	at = ops_find(set, handle);
	if (at != OPS_OBJECTS)
		ops_free(world, set, at);
	return kind == 4 ? -EIO : 0;
}

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	struct ops_world *world = user;
	int result = -EAGAIN;
	bool found = false;

	(void)pool;
	running->depth++;
	for (unsigned int s = 0; s < OPS_SETS && !found; s++) {
		struct ops_set *set = &world->sets[s];

		if (!take_set(world, set))
			continue;
		found = ops_find(set, handle) != OPS_OBJECTS;
		if (found)
			result = evict_from(world, set, handle);
		leave_set(world, set);
	}
	running->depth--;
	fuzz_check(found || world->threads, "handle %#lx, which is not live, is to be evicted", handle);
	return result;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Threads
 */

struct ops_thread {
	pthread_t thread;
	struct ops_run run;
	struct fuzz_input input;
};

static void *run_thread(void *arg)
{
	struct ops_thread *thread = arg;

	running = &thread->run;
	pthread_mutex_lock(&thread->run.set->lock);
	while (!fuzz_ended(&thread->input)) {
		step(&thread->run);
		/* Lets the evict callbacks of others into this set. */
		pthread_mutex_unlock(&thread->run.set->lock);
		pthread_mutex_lock(&thread->run.set->lock);
	}
	pthread_mutex_unlock(&thread->run.set->lock);
	return NULL;
}

static void do_threads(struct ops_run *run)
{
	unsigned int count = 1 + fuzz_choose(run->input, THREADS_MAX);
	struct ops_thread threads[THREADS_MAX];
	struct ops_set *set = run->set;

	if (run->world->threads || run->depth)
		return;
	run->world->threads = true;
	for (unsigned int i = 0; i < count; i++) {
		threads[i].input = fuzz_part(run->input, fuzz_choose(run->input, THREAD_BYTES));
		threads[i].run = (struct ops_run){ run->world, &run->world->sets[i + 1], &threads[i].input, 0 };
	}
	for (unsigned int i = 0; i < count; i++)
		fuzz_assert(pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]) == 0);
	run->set = &run->world->sets[0];
	pthread_mutex_lock(&run->set->lock);
	for (unsigned int steps = 16; steps && !fuzz_ended(run->input); steps--)
		step(run);
	pthread_mutex_unlock(&run->set->lock);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i].thread, NULL);
	run->set = set;
	run->world->threads = false;
	run->world->total = zpool_get_total_size(run->world->pool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * A run
 */

static void step(struct ops_run *run)
{
	static const struct {
		const char *name;
		void (*run)(struct ops_run *run);
	} operations[] = {
		{ "malloc", do_malloc },
		{ "malloc many", do_malloc_many },
		{ "free", do_free },
		{ "free many", do_free_many },
		{ "map", do_map },
		{ "unmap", do_unmap },
		{ "read", do_read },
		{ "write", do_write },
		{ "shrink", do_shrink },
		{ "compact", do_compact },
		{ "trim", do_trim },
		{ "set limit", do_set_limit },
		{ "set param", do_set_param },
		{ "dead handle", do_dead_handle },
		{ "bad arguments", do_bad_arguments },
		{ "look", do_look },
		{ "compare", do_compare },
		{ "fail source", do_fail_source },
		{ "choose set", do_choose_set },
		{ "threads", do_threads },
	};

	unsigned int chosen = fuzz_choose(run->input, sizeof(operations) / sizeof(*operations));

	fuzz_say("%*s%s, %u objects, %llu bytes", (int)run->depth * 4, "", operations[chosen].name, run->set->count,
		 (unsigned long long)zpool_get_total_size(run->world->pool));
	operations[chosen].run(run);
}

static void check_limit(struct ops_world *world)
{
	uint64_t total = zpool_get_total_size(world->pool);

	fuzz_check(!world->limit || total <= world->limit || total <= world->total,
		   "the limit is %llu, but the pool grew from %llu to %llu", (unsigned long long)world->limit,
		   (unsigned long long)world->total, (unsigned long long)total);
	world->total = total;
}

/* What a trace filter recorded must be a valid trace. */
static void check_traces(const struct fuzz_stack *stack)
{
	for (unsigned int i = 0; i < stack->trace_count; i++) {
		struct trace_file file = { .size = (size_t)lseek(stack->traces[i], 0, SEEK_END) };
		char text[TRACE_TEXT] = "";

		file.bytes = malloc(file.size + 1);
		fuzz_assert(file.bytes);
		fuzz_assert(pread(stack->traces[i], file.bytes, file.size, 0) == (ssize_t)file.size);
		fuzz_check(trace_file_check(&file, text) == 0, "%s", text);
		fuzz_assert(!file.cut_off);
		trace_file_free(&file);
	}
}

static void run_operations(struct ops_world *world, struct fuzz_input *input)
{
	struct ops_run run = { world, &world->sets[0], input, 0 };

	running = &run;
	for (unsigned int i = 0; i < OPERATIONS_MAX && !fuzz_ended(input); i++) {
		step(&run);
		check_limit(world);
	}
	ops_compare_all(world);
	ops_compare_pool(world);
}

static void clear(struct ops_world *world)
{
	for (unsigned int s = 0; s < OPS_SETS; s++) {
		for (unsigned int i = 0; i < world->sets[s].count; i++)
			free(world->sets[s].at[i].bytes);
		pthread_mutex_destroy(&world->sets[s].lock);
	}
	zpool_destroy_pool(world->other_pool);
	fuzz_source_fini(&world->source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ops_world world;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	struct fuzz_input input = { data, data + size };
	uint8_t options;

	memset(&world, 0, sizeof(world));
	fuzz_source_init(&world.source);
	fuzz_stack_choose(&world.stack, &input);
	options = fuzz_byte(&input);
	for (unsigned int s = 0; s < OPS_SETS; s++)
		pthread_mutex_init(&world.sets[s].lock, NULL);
	if (options & 1)
		args.page_source = &world.source.table;
	if (options & 2)
		fuzz_source_fail(&world.source, fuzz_choose(&input, 2), fuzz_choose(&input, 8), 1);
	if (!(options & 4))
		args.evict = evict;
	args.user = &world;
	world.pool = zpool_open(world.stack.spec, &args, sizeof(args));
	fuzz_say("%s, options %#x: %s", world.stack.spec, options, world.pool ? "opened" : zpool_last_error());
	if (world.pool) {
		fuzz_assert(strcmp(zpool_get_spec(world.pool), world.stack.spec) == 0);
		world.largest = zpool_max_object_size(world.pool);
		world.total = zpool_get_total_size(world.pool);
		world.limit = strstr(world.stack.spec, "limit=") ? OPS_LIMIT_UNKNOWN : 0;
		run_operations(&world, &input);
		zpool_destroy_pool(world.pool);
		check_traces(&world.stack);
	} else {
		fuzz_check(world.source.failed || strstr(world.stack.spec, "limit=") ||
				   fuzz_stack_is_refused(&world.stack),
			   "%s: %s", world.stack.spec, zpool_last_error());
	}
	clear(&world);
	return 0;
}

/* Guard would find damage that the model does not see, because the library, and not the caller, did it. */
static void on_log(enum zpool_log_level level, const char *message, void *user)
{
	(void)level;
	(void)user;
	fuzz_check(!strstr(message, "overrun:") && !strstr(message, "underrun:") &&
			   !strstr(message, "use after unmap:"),
		   "%s", message);
}

static void start(void)
{
	fuzz_stack_start();
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fuzz_assert(null_fd >= 0);
	fuzz_assert(zpool_set_log_handler(on_log, ZPOOL_LOG_DEBUG, NULL) == 0);
}

const struct fuzz_target fuzz_target = { .name = "ops", .runs = 300, .start = start };

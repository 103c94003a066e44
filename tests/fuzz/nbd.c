/* SPDX-License-Identifier: MIT
 *
 * nbd.c - nbdkit's plugin, called as nbdkit calls it, beside a model of the disk
 *
 * The input is parameters of any kind, which the plugin may refuse, then a stack for the pool and a disk, and then
 * requests.  As in nbdkit, a request lies inside the disk.
 */
#include "config.h"

#include "fuzz.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nbd-remote.h"
#include "nbdkit-server.h"
#include "stack.h"

#include "../../hosts/nbdkit/nbdkit.h"

enum { DISK_BYTES_MAX = 128 << 10, REQUESTS_MAX = 1000, WORD_BYTES = 48, UNIT_BYTES_MIN = 512 };

struct nbdkit_plugin *plugin_init(void);

/*
 * may_fail   a request may fail, because the disk has a limit or the stack makes calls fail
 * backing    a descriptor of the file behind the disk, or -1
 * is_remote  the disk is behind nbd_remote, with the image `remote'
 * model      what the disk must contain
 */
static struct disk_model {
	const struct nbdkit_plugin *plugin;
	void *handle;
	bool may_fail;
	int backing;
	bool is_remote;
	uint32_t bytes, unit_bytes;
	unsigned char model[DISK_BYTES_MAX];
	unsigned char remote[DISK_BYTES_MAX];
	unsigned char data[DISK_BYTES_MAX];
} disk;

/* ------------------------------------------------------------------------------------------------------------------
 * Parameters
 */

/* Any text for a parameter that names no file; a valid value follows later. */
static void give_any_parameter(struct fuzz_input *input)
{
	static const char *const keys[] = { "size", "unit", "limit", "create", "connections", "no_such_key" };
	char value[WORD_BYTES];
	size_t length = fuzz_choose(input, WORD_BYTES - 1);
	const char *key = keys[fuzz_choose(input, sizeof(keys) / sizeof(*keys))];
	struct fuzz_input text = fuzz_part(input, length);

	length = (size_t)(text.end - text.at);
	memcpy(value, text.at, length);
	value[length] = '\0';
	nbdkit_server_errors = 0;
	if (disk.plugin->config(key, value))
		fuzz_check(nbdkit_server_errors, "%s=%s was refused without a message", key, value);
	(void)disk.plugin->config_complete();
}

static void give(const char *key, unsigned long long number)
{
	char value[64];

	(void)snprintf(value, sizeof(value), "%llu", number);
	fuzz_assert(!disk.plugin->config(key, value));
}

static void give_backing(unsigned int bytes)
{
	char path[64];

	disk.backing = memfd_create("backing", MFD_CLOEXEC);
	fuzz_assert(disk.backing >= 0 && ftruncate(disk.backing, bytes) == 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", disk.backing);
	fuzz_assert(!disk.plugin->config("backing", path));
}

/* The high bits of the options choose how many of the server's replies are errors. */
__attribute__((unused)) static void give_remote(unsigned int bytes, uint8_t options)
{
	disk.is_remote = true;
	memset(disk.remote, 0, bytes);
	nbd_remote = (struct nbd_remote){
		.image = disk.remote,
		.bytes = bytes,
		.fail_every = options >> 5,
		.drops = options & 8,
		.plain = options & 16,
	};
	fuzz_assert(!disk.plugin->config("backing", nbd_remote_uri()));
}

static bool start_disk(const struct fuzz_stack *stack, struct fuzz_input *input)
{
	static const char *const compressors[] = { "lz4", "none", "zstd:1" };
	unsigned int unit = UNIT_BYTES_MIN << fuzz_choose(input, 4);
	uint8_t options = fuzz_byte(input), limit = fuzz_byte(input);
	uint32_t bytes = 1 + (uint32_t)fuzz_number(input, 3) % DISK_BYTES_MAX;

	if (options & 1) {
		bytes = (bytes + unit - 1) / unit * unit;
		/* The thread sanitizer does not see that a socket orders the accesses of server and client. */
#if defined(HAVE_LIBNBD) && !defined(__SANITIZE_THREAD__)
		if (options & 4)
			give_remote(bytes, options);
#endif
		if (!disk.is_remote)
			give_backing(bytes);
	}
	disk.bytes = bytes;
	disk.unit_bytes = unit;
	disk.may_fail =
		limit || stack->fails || strstr(stack->spec, "limit=") || (disk.is_remote && nbd_remote.fail_every);
	fuzz_assert(!disk.plugin->config("create", options & 2 && disk.backing >= 0 ? "yes" : "no"));
	fuzz_assert(!disk.plugin->config("driver", stack->spec));
	fuzz_assert(!disk.plugin->config("compressor", compressors[options % 3]));
	give("unit", unit);
	give("limit", (unsigned long long)limit << 14);
	give("size", bytes);
	if (disk.is_remote)
		give("connections", 1);
	nbdkit_server_errors = 0;
	if (disk.plugin->config_complete() || disk.plugin->get_ready() || disk.plugin->after_fork()) {
		fuzz_check(nbdkit_server_errors, "the plugin of %s failed without a message", stack->spec);
		fuzz_check(disk.may_fail || fuzz_stack_is_refused(stack), "the plugin of %s failed: %s", stack->spec,
			   zpool_last_error());
		return false;
	}
	fuzz_say("%s, %u bytes in units of %u, limit %u, options %#x", stack->spec, bytes, unit, limit << 14, options);
	disk.handle = disk.plugin->open(0);
	fuzz_assert(disk.handle && disk.plugin->get_size(disk.handle) == (int64_t)bytes);
	return true;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Requests
 */

struct range {
	uint32_t at, bytes, flags;
};

/* Chooses a range, at the end of the disk for large numbers; half of the ranges begin and end between units. */
static struct range choose_range(struct fuzz_input *input)
{
	uint32_t first = (uint32_t)fuzz_number(input, 2), second = (uint32_t)fuzz_number(input, 2);
	struct range range = { .flags = first & 0x4000 ? NBDKIT_FLAG_FUA : 0 };
	uint32_t room;

	range.at = first & 0x8000 ? disk.bytes - 1 - (first & 0x3fff) % disk.bytes : (first & 0x3fff) * 8 % disk.bytes;
	if (second & 0x8000)
		range.at -= range.at % UNIT_BYTES_MIN;
	room = disk.bytes - range.at;
	range.bytes = 1 + (second & 0x7fff) % room;
	if (second & 0x8000 && room >= UNIT_BYTES_MIN)
		range.bytes = UNIT_BYTES_MIN * (1 + (second & 0xff) % (room / UNIT_BYTES_MIN));
	return range;
}

static void check_result(int result)
{
	if (!result)
		return;
	/* A unit that does not shrink may be too large for the driver. */
	fuzz_check(disk.may_fail || strstr(zpool_last_error(), "is too large"), "a request failed: %s",
		   zpool_last_error());
	fuzz_assert(nbdkit_server_errors && nbdkit_server_errno > 0);
}

static int read_range(struct range range, unsigned char *to)
{
	return disk.plugin->pread(disk.handle, to, range.bytes, range.at, 0);
}

static void compare(struct range range)
{
	unsigned char *found = malloc(range.bytes);
	int result;

	fuzz_assert(found);
	result = read_range(range, found);
	check_result(result);
	for (uint32_t i = 0; !result && i < range.bytes; i++)
		fuzz_check(found[i] == disk.model[range.at + i], "byte %u is %#x instead of %#x", range.at + i,
			   found[i], disk.model[range.at + i]);
	free(found);
}

/* After a request that failed, each byte must be the old one or the new one; the model takes what there is. */
static void settle(struct range range, const unsigned char *new_bytes)
{
	unsigned char *found = malloc(range.bytes);
	int result = -1;

	fuzz_assert(found);
	for (int tries = 0; tries < 40 && result; tries++)
		result = read_range(range, found);
	for (uint32_t i = 0; !result && i < range.bytes; i++) {
		uint32_t at = range.at + i;

		fuzz_check(found[i] == disk.model[at] || found[i] == new_bytes[i],
			   "byte %u is %#x, neither %#x nor %#x", at, found[i], disk.model[at], new_bytes[i]);
		disk.model[at] = found[i];
	}
	free(found);
	/* Nothing is known about the contents. */
	if (result)
		disk.plugin = NULL;
}

static void compare_backing(struct range range)
{
	if (disk.is_remote)
		fuzz_assert(!memcmp(disk.remote + range.at, disk.model + range.at, range.bytes));
	if (disk.backing < 0)
		return;
	fuzz_assert(pread(disk.backing, disk.data, range.bytes, range.at) == (ssize_t)range.bytes);
	fuzz_assert(!memcmp(disk.data, disk.model + range.at, range.bytes));
}

static void finish_change(int result, struct range range, const unsigned char *new_bytes)
{
	check_result(result);
	if (result) {
		settle(range, new_bytes);
		return;
	}
	memcpy(disk.model + range.at, new_bytes, range.bytes);
	if (range.flags & NBDKIT_FLAG_FUA)
		compare_backing(range);
}

static void do_write(struct fuzz_input *input)
{
	struct range range = choose_range(input);
	unsigned char *bytes = malloc(range.bytes);

	fuzz_assert(bytes);
	fuzz_fill(bytes, range.bytes, fuzz_byte(input));
	finish_change(disk.plugin->pwrite(disk.handle, bytes, range.bytes, range.at, range.flags), range, bytes);
	free(bytes);
}

/*
 * A trim may keep the parts of units at both ends of its range: there may be no room for the changed units, or they may
 * be too large for the driver.
 */
static void finish_trim(struct range range, const unsigned char *zeroes)
{
	uint32_t end = range.at + range.bytes, unit = disk.unit_bytes;
	uint32_t whole_end = end == disk.bytes ? end : end - end % unit;

	if (!disk.may_fail && !strstr(zpool_last_error(), "is too large")) {
		finish_change(0, range, zeroes);
		return;
	}
	settle(range, zeroes);
	for (uint32_t at = (range.at + unit - 1) / unit * unit; disk.plugin && at < whole_end; at++)
		fuzz_check(!disk.model[at], "byte %u is in a unit that was trimmed", at);
	if (disk.plugin && range.flags & NBDKIT_FLAG_FUA)
		compare_backing(range);
}

static void do_zero(struct fuzz_input *input)
{
	struct range range = choose_range(input);
	unsigned char *bytes = calloc(1, range.bytes);
	uint8_t how = fuzz_byte(input);
	int result;

	fuzz_assert(bytes);
	if (how & 1)
		result = disk.plugin->trim(disk.handle, range.bytes, range.at, range.flags);
	else
		result = disk.plugin->zero(disk.handle, range.bytes, range.at,
					   range.flags | (how & 2 ? NBDKIT_FLAG_MAY_TRIM : 0) |
						   (how & 4 ? NBDKIT_FLAG_FAST_ZERO : 0));
	if (how & 1 && !result)
		finish_trim(range, bytes);
	else
		finish_change(result, range, bytes);
	free(bytes);
}

static void do_read(struct fuzz_input *input)
{
	compare(choose_range(input));
}

static void do_flush(struct fuzz_input *input)
{
	int result = disk.plugin->flush(disk.handle, 0);

	(void)input;
	check_result(result);
	if (!result)
		compare_backing((struct range){ 0, disk.bytes, 0 });
}

static void do_cache(struct fuzz_input *input)
{
	struct range range = choose_range(input);

	check_result(disk.plugin->cache(disk.handle, range.bytes, range.at, 0));
}

static void visit_extent(void *user, uint64_t offset, uint64_t length, uint32_t type)
{
	(void)user;
	fuzz_assert(!(type & NBDKIT_EXTENT_HOLE) || type & NBDKIT_EXTENT_ZERO);
	for (uint64_t i = 0; type & NBDKIT_EXTENT_ZERO && i < length; i++)
		fuzz_check(!disk.model[offset + i], "byte %llu is in an extent of zeroes",
			   (unsigned long long)(offset + i));
}

static void do_extents(struct fuzz_input *input)
{
	struct range range = choose_range(input);
	struct nbdkit_extents extents = { range.at, (uint64_t)range.at + range.bytes, 0, visit_extent, NULL };
	bool only_one = fuzz_byte(input) & 1;
	int result =
		disk.plugin->extents(disk.handle, range.bytes, range.at, only_one ? NBDKIT_FLAG_REQ_ONE : 0, &extents);

	check_result(result);
	if (!result)
		fuzz_assert(only_one ? extents.count == 1 : extents.at == extents.end);
}

static void run_requests(struct fuzz_input *input)
{
	static const struct {
		const char *name;
		void (*run)(struct fuzz_input *input);
	} requests[] = {
		{ "write", do_write }, { "read", do_read },   { "zero", do_zero },
		{ "flush", do_flush }, { "cache", do_cache }, { "extents", do_extents },
	};
	const struct nbdkit_plugin *plugin = disk.plugin;
	unsigned int chosen;

	for (unsigned int i = 0; i < REQUESTS_MAX && !fuzz_ended(input) && disk.plugin; i++) {
		nbdkit_server_errors = 0;
		nbdkit_server_errno = 0;
		chosen = fuzz_choose(input, sizeof(requests) / sizeof(*requests));
		fuzz_say("%s", requests[chosen].name);
		requests[chosen].run(input);
	}
	nbdkit_server_errors = 0;
	if (disk.plugin)
		compare((struct range){ 0, disk.bytes, 0 });
	disk.plugin = plugin;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };
	struct fuzz_stack stack;
	bool is_known;

	disk.plugin = plugin_init();
	disk.backing = -1;
	disk.is_remote = false;
	disk.plugin->load();
	for (unsigned int count = fuzz_byte(&input) & 3; count; count--)
		give_any_parameter(&input);
	fuzz_stack_choose(&stack, &input);
	memset(disk.model, 0, sizeof(disk.model));
	is_known = start_disk(&stack, &input);
	if (is_known)
		run_requests(&input);
	disk.plugin->cleanup();
	disk.plugin->unload();
	if (is_known && !disk.may_fail)
		compare_backing((struct range){ 0, disk.bytes, 0 });
	if (disk.backing >= 0)
		close(disk.backing);
	return 0;
}

const struct fuzz_target fuzz_target = { .name = "nbd", .runs = 200, .start = fuzz_stack_start };

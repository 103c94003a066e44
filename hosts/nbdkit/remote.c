/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <string.h>

#include "nbdkit.h"
#include "remote.h"

bool remote_is_uri(const char *backing)
{
	return !strncmp(backing, "nbd", 3) && strstr(backing, "://");
}

#ifdef HAVE_LIBNBD

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "remote_internal.h"

/* A request to zero or discard covers at most this many bytes; larger ranges are split. */
#define STEP_BYTES_MAX (UINT64_C(1) << 30)

/* The store transfers at most this much at a time, so a server need not accept more. */
#define IO_BYTES_MAX UINT64_C(65536)
_Static_assert(IO_BYTES_MAX >= ZPOOL_STORE_UNIT_BYTES_MAX, "a request can have a whole unit");

uint64_t remote_size(const struct remote *remote)
{
	return remote->size_bytes;
}

/* Offsets and lengths are multiples of this.  A server that does not say what it needs gets 1. */
static uint64_t block_bytes(struct nbd_handle *nbd)
{
	int64_t bytes = nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);

	return bytes > 0 ? (uint64_t)bytes : 1;
}

/*
 * Returns the length of the longest read or write that a server accepts.  It consists of whole units if that is
 * possible, so that a unit is not written in two requests, of which the second may fail.
 */
static uint64_t find_io_bytes_max(struct nbd_handle *nbd, uint64_t unit_bytes)
{
	int64_t accepted = nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);
	uint64_t bytes = IO_BYTES_MAX;
	uint64_t step;

	if (accepted > 0 && (uint64_t)accepted < bytes)
		bytes = (uint64_t)accepted;
	step = bytes < unit_bytes ? block_bytes(nbd) : unit_bytes;
	return bytes < step ? step : bytes - bytes % step;
}

/* The requests that the store's units and io_bytes_max lead to must suit a server that came back as well. */
static bool accepts_same_requests(const struct remote *remote, struct nbd_handle *nbd)
{
	uint64_t block = block_bytes(nbd);

	return find_io_bytes_max(nbd, remote->unit_bytes) >= remote->io_bytes_max && remote->unit_bytes % block == 0 &&
	       remote->io_bytes_max % block == 0;
}

bool remote_is_same_disk(const struct remote *remote, struct nbd_handle *nbd)
{
	return nbd_get_size(nbd) >= (int64_t)remote->size_bytes && !nbd_is_read_only(nbd) &&
	       (nbd_can_zero(nbd) || !remote->can_zero) && (nbd_can_flush(nbd) || !remote->can_flush) &&
	       accepts_same_requests(remote, nbd);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Requests
 */

enum request_kind { WRITE, ZERO, DISCARD, READ, EXTENT };

struct request {
	enum request_kind kind;
	void *to;
	const void *from;
	uint64_t bytes;
	uint64_t offset;
	uint32_t extent_bytes; /* the result of EXTENT, or 0 if there is none yet */
	uint32_t extent_type;
};

static int keep_extent(void *user, const char *context, uint64_t offset, uint32_t *entries, size_t entry_count,
		       int *error)
{
	struct request *request = user;

	(void)error;
	if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) || offset != request->offset || entry_count < 2)
		return 0;
	request->extent_bytes = entries[0];
	request->extent_type = entries[1];
	return 0;
}

/* Returns 0, or -1 and nbd_get_errno() is set. */
static int send_request(struct nbd_handle *nbd, struct request *request)
{
	const nbd_extent_callback callback = { .callback = keep_extent, .user_data = request };

	switch (request->kind) {
	case READ:
		return nbd_pread(nbd, request->to, request->bytes, request->offset, 0);
	case WRITE:
		return nbd_pwrite(nbd, request->from, request->bytes, request->offset, 0);
	case ZERO:
		return nbd_zero(nbd, request->bytes, request->offset, LIBNBD_CMD_FLAG_NO_HOLE);
	case DISCARD:
		return nbd_zero(nbd, request->bytes, request->offset, 0);
	default:
		return nbd_block_status(nbd, request->bytes, request->offset, callback, LIBNBD_CMD_FLAG_REQ_ONE);
	}
}

static int last_error(void)
{
	return nbd_get_errno() ? -nbd_get_errno() : -EIO;
}

/* Returns 0 or -errno. */
static int run(struct remote *remote, struct request *request)
{
	struct connection *connection = remote_take(remote);
	int err = -EIO;

	for (int attempt = 0; attempt < 2; attempt++) {
		if (remote_connect(remote, connection))
			connection = remote_exchange(remote, connection);
		if (!connection)
			return -EIO;
		err = 0;
		if (!send_request(connection->nbd, request)) {
			if (request->kind <= DISCARD)
				remote_set_unflushed(remote, connection, true);
			break;
		}
		err = last_error();
		if (!remote_is_lost(connection->nbd))
			break;
		remote_lose(remote, connection);
		err = -EIO;
	}
	remote_release(remote, connection);
	return err;
}

static int64_t backing_size(void *user)
{
	const struct remote *remote = user;

	return (int64_t)remote->size_bytes;
}

static int64_t backing_pread(void *user, void *buf, size_t bytes, uint64_t offset)
{
	struct request request = { .kind = READ, .to = buf, .bytes = bytes, .offset = offset };
	struct remote *remote = user;
	int err;

	if (request.bytes > remote->io_bytes_max)
		request.bytes = remote->io_bytes_max;
	err = run(remote, &request);
	return err ? err : (int64_t)request.bytes;
}

static int64_t backing_pwrite(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	struct request request = { .kind = WRITE, .from = buf, .bytes = bytes, .offset = offset };
	struct remote *remote = user;
	int err;

	if (request.bytes > remote->io_bytes_max)
		request.bytes = remote->io_bytes_max;
	err = run(remote, &request);
	return err ? err : (int64_t)request.bytes;
}

static int change_in_steps(struct remote *remote, enum request_kind kind, uint64_t offset, uint64_t bytes)
{
	int err = remote->can_zero ? 0 : -EOPNOTSUPP;

	while (bytes && !err) {
		struct request request = { .kind = kind, .bytes = bytes, .offset = offset };

		if (request.bytes > STEP_BYTES_MAX)
			request.bytes = STEP_BYTES_MAX;
		err = run(remote, &request);
		offset += request.bytes;
		bytes -= request.bytes;
	}
	return err;
}

static int backing_zero(void *user, uint64_t offset, uint64_t bytes)
{
	return change_in_steps(user, ZERO, offset, bytes);
}

/* A trim would leave the contents undefined, so the range is zeroed and may become a hole. */
static int backing_discard(void *user, uint64_t offset, uint64_t bytes)
{
	return change_in_steps(user, DISCARD, offset, bytes);
}

/* The caller has taken the connection.  Returns 0 or -errno. */
static int flush_connection(struct remote *remote, struct connection *connection)
{
	int err = 0;

	if (!remote->can_flush || !nbd_flush(connection->nbd, 0)) {
		remote_set_unflushed(remote, connection, false);
	} else {
		err = last_error();
		if (remote_is_lost(connection->nbd)) {
			remote_lose(remote, connection);
			err = -EIO;
		}
	}
	return err;
}

/*
 * A server that was restarted may have lost what was not flushed, and only the connections to its predecessor show
 * that.  So each connection on which changes were completed is flushed, although the flush of one would do for a server
 * that was not restarted.
 */
static int backing_flush(void *user)
{
	struct remote *remote = user;
	bool is_in_doubt;
	int err = 0;

	for (unsigned int i = 0; i < remote->count; i++) {
		struct connection *connection = &remote->connection[i];
		int failed;

		if (!remote_take_unflushed(remote, connection))
			continue;
		failed = flush_connection(remote, connection);
		remote_release(remote, connection);
		if (failed && !err)
			err = failed;
	}
	pthread_mutex_lock(&remote->lock);
	is_in_doubt = remote->is_in_doubt;
	remote->is_in_doubt = false;
	pthread_mutex_unlock(&remote->lock);
	if (!is_in_doubt)
		return err;
	nbdkit_error(
		"a connection to the backing %s was lost before all written data were flushed; if the server was restarted, these data may be lost",
		remote->uri);
	return -EIO;
}

static int64_t backing_next_extent(void *user, uint64_t offset, uint64_t bytes, int *is_hole)
{
	const uint32_t hole = LIBNBD_STATE_HOLE | LIBNBD_STATE_ZERO;
	struct request request = { .kind = EXTENT, .bytes = bytes, .offset = offset };
	struct remote *remote = user;
	int err;

	if (request.bytes > STEP_BYTES_MAX)
		request.bytes = STEP_BYTES_MAX;
	err = remote->can_extents ? run(remote, &request) : -EOPNOTSUPP;
	if (err || !request.extent_bytes)
		return err ? err : -EOPNOTSUPP;
	*is_hole = (request.extent_type & hole) == hole;
	return request.extent_bytes < bytes ? (int64_t)request.extent_bytes : (int64_t)bytes;
}

struct zpool_store_backing remote_backing(struct remote *remote)
{
	return (struct zpool_store_backing){
		.struct_size = sizeof(struct zpool_store_backing),
		.user = remote,
		.name = remote->uri,
		.size = backing_size,
		.pread = backing_pread,
		.pwrite = backing_pwrite,
		.flush = backing_flush,
		.discard = backing_discard,
		.zero = backing_zero,
		.next_extent = backing_next_extent,
	};
}

/* ------------------------------------------------------------------------------------------------------------------
 * From open to close
 */

/* Examines the disk of the first connection.  Returns 0, or -1 after it reported the error. */
static int learn(struct remote *remote, struct nbd_handle *nbd)
{
	int64_t size_bytes = nbd_get_size(nbd);

	if (size_bytes < 0) {
		nbdkit_error("the size of the backing %s cannot be determined: %s", remote->uri, nbd_get_error());
		return -1;
	}
	if (nbd_is_read_only(nbd)) {
		nbdkit_error("the backing %s is served read-only, but the disk must be able to write to it",
			     remote->uri);
		return -1;
	}
	if (block_bytes(nbd) > remote->unit_bytes) {
		nbdkit_error("the backing %s is served in blocks of %" PRIu64 " bytes: give unit=%" PRIu64 " or more",
			     remote->uri, block_bytes(nbd), block_bytes(nbd));
		return -1;
	}
	remote->size_bytes = (uint64_t)size_bytes;
	remote->io_bytes_max = find_io_bytes_max(nbd, remote->unit_bytes);
	remote->can_zero = nbd_can_zero(nbd) == 1;
	remote->can_flush = nbd_can_flush(nbd) == 1;
	remote->can_extents = nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
	if (!nbd_can_multi_conn(nbd))
		remote->count = 1;
	if (!remote->can_flush)
		nbdkit_debug(
			"zpool: the server of the backing %s does not support flush, so a flush only writes the data to it",
			remote->uri);
	return 0;
}

struct remote *remote_open(const char *uri, unsigned int connections, uint64_t unit_bytes)
{
	struct remote *remote = calloc(1, sizeof(*remote) + connections * sizeof(remote->connection[0]));

	if (!remote) {
		nbdkit_error("there is no memory for connections to the backing");
		return NULL;
	}
	remote->uri = uri;
	remote->user = geteuid();
	remote->group = getegid();
	remote->unit_bytes = unit_bytes;
	remote->count = connections;
	pthread_mutex_init(&remote->lock, NULL);
	pthread_cond_init(&remote->one_is_free, NULL);
	remote->connection[0].nbd = remote_new_connection(uri);
	if (!remote->connection[0].nbd)
		nbdkit_error("the backing %s cannot be reached: %s", uri, nbd_get_error());
	if (!remote->connection[0].nbd || learn(remote, remote->connection[0].nbd)) {
		remote_close(remote);
		return NULL;
	}
	return remote;
}

int remote_check_user(struct remote *remote)
{
	struct connection *second;

	if (!remote || remote->count == 1 || (remote->user == geteuid() && remote->group == getegid()))
		return 0;
	second = &remote->connection[1];
	second->nbd = remote_new_connection(remote->uri);
	if (second->nbd)
		return 0;
	nbdkit_error("the backing %s cannot be reached by the user of nbdkit's options -u and -g: %s", remote->uri,
		     nbd_get_error());
	return -1;
}

void remote_close(struct remote *remote)
{
	if (!remote)
		return;
	for (unsigned int i = 0; i < remote->count; i++) {
		struct nbd_handle *nbd = remote->connection[i].nbd;

		if (nbd && !remote_is_lost(nbd))
			(void)nbd_shutdown(nbd, 0);
		nbd_close(nbd);
	}
	pthread_cond_destroy(&remote->one_is_free);
	pthread_mutex_destroy(&remote->lock);
	free(remote);
}

#else /* HAVE_LIBNBD */

struct remote *remote_open(const char *uri, unsigned int connections, uint64_t unit_bytes)
{
	(void)connections;
	(void)unit_bytes;
	nbdkit_error("the backing %s is an NBD server, and this plugin was built without libnbd", uri);
	return NULL;
}

int remote_check_user(struct remote *remote)
{
	(void)remote;
	return 0;
}

void remote_close(struct remote *remote)
{
	(void)remote;
}

uint64_t remote_size(const struct remote *remote)
{
	(void)remote;
	return 0;
}

struct zpool_store_backing remote_backing(struct remote *remote)
{
	(void)remote;
	return (struct zpool_store_backing){ .struct_size = 0 };
}

#endif

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
#include <libnbd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* A request to zero or discard covers at most this many bytes; larger ranges are split. */
#define STEP_BYTES_MAX (UINT64_C(1) << 30)
#define IO_BYTES_MAX (UINT64_C(32) << 20)

/* A connection is lost if the server acknowledges nothing for this long. */
#define TCP_TIMEOUT_MS 60000

/* After an attempt to connect that took so long and failed, the next one is made after the same time. */
#define SLOW_CONNECT_NS UINT64_C(1000000000)

struct connection {
	struct nbd_handle *nbd; /* NULL if not connected; used by the thread that has made the connection busy */
	bool is_busy;
	bool has_unflushed; /* changes were completed on this connection after its last flush */
};

struct remote {
	const char *uri;
	uint64_t size_bytes;
	uint64_t unit_bytes;
	uint64_t io_bytes_max;                 /* the longest read or write */
	bool can_zero, can_flush, can_extents; /* as the first connection reported them */

	pthread_mutex_t lock; /* guards the members below */
	pthread_cond_t one_is_free;
	bool is_in_doubt;      /* a connection was lost that had unflushed changes */
	uint64_t retry_ns;     /* when the next attempt to connect may be made */
	bool is_failure_known; /* suppresses repeated log messages about a server that cannot be reached */
	unsigned int count;
	struct connection connection[];
};

uint64_t remote_size(const struct remote *remote)
{
	return remote->size_bytes;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Connections
 */

/* Failures are ignored, because a Unix socket has no such options. */
static void set_timeout(struct nbd_handle *nbd)
{
	const int on = 1, timeout_ms = TCP_TIMEOUT_MS;
	int fd = nbd_aio_get_fd(nbd);

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static struct nbd_handle *new_connection(const char *uri)
{
	struct nbd_handle *nbd = nbd_create();

	if (!nbd || nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) || nbd_connect_uri(nbd, uri)) {
		nbd_close(nbd);
		return NULL;
	}
	set_timeout(nbd);
	return nbd;
}

static struct connection *take_connection(struct remote *remote)
{
	struct connection *best = NULL;

	pthread_mutex_lock(&remote->lock);
	for (;;) {
		for (unsigned int i = 0; i < remote->count; i++) {
			struct connection *connection = &remote->connection[i];

			if (!connection->is_busy && (!best || (connection->nbd && !best->nbd)))
				best = connection;
		}
		if (best)
			break;
		pthread_cond_wait(&remote->one_is_free, &remote->lock);
	}
	best->is_busy = true;
	pthread_mutex_unlock(&remote->lock);
	return best;
}

/* Waits for a connection and takes it, if it has unflushed changes.  Returns false if it has none. */
static bool take_unflushed(struct remote *remote, struct connection *connection)
{
	bool is_taken;

	pthread_mutex_lock(&remote->lock);
	while (connection->has_unflushed && connection->is_busy)
		pthread_cond_wait(&remote->one_is_free, &remote->lock);
	is_taken = connection->has_unflushed;
	if (is_taken)
		connection->is_busy = true;
	pthread_mutex_unlock(&remote->lock);
	return is_taken;
}

static void release_connection(struct remote *remote, struct connection *connection)
{
	pthread_mutex_lock(&remote->lock);
	connection->is_busy = false;
	pthread_cond_broadcast(&remote->one_is_free);
	pthread_mutex_unlock(&remote->lock);
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

/* A server that came back may serve another disk. */
static bool is_same_disk(const struct remote *remote, struct nbd_handle *nbd)
{
	return nbd_get_size(nbd) >= (int64_t)remote->size_bytes && !nbd_is_read_only(nbd) &&
	       (nbd_can_zero(nbd) || !remote->can_zero) && (nbd_can_flush(nbd) || !remote->can_flush) &&
	       accepts_same_requests(remote, nbd);
}

static void log_state(struct remote *remote, bool is_reached, const char *reason)
{
	bool is_news;

	pthread_mutex_lock(&remote->lock);
	is_news = remote->is_failure_known == is_reached;
	remote->is_failure_known = !is_reached;
	pthread_mutex_unlock(&remote->lock);
	if (is_news && is_reached)
		nbdkit_debug("zpool: connected to the backing %s again", remote->uri);
	else if (is_news)
		nbdkit_error("the backing %s cannot be reached: %s", remote->uri, reason);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static bool may_connect(struct remote *remote)
{
	uint64_t now = now_ns();
	bool may;

	pthread_mutex_lock(&remote->lock);
	may = now >= remote->retry_ns;
	pthread_mutex_unlock(&remote->lock);
	return may;
}

/*
 * It takes minutes to find out that a host does not answer.  If each write of a flush did, a server that ends would try
 * for hours.  A server that refuses connections does so at once, and is tried again by each request.
 */
static void delay_next_attempt(struct remote *remote, uint64_t begin_ns)
{
	uint64_t now = now_ns();

	if (now - begin_ns < SLOW_CONNECT_NS)
		return;
	pthread_mutex_lock(&remote->lock);
	remote->retry_ns = now + SLOW_CONNECT_NS;
	pthread_mutex_unlock(&remote->lock);
}

/* Gives a connection a handle.  Returns 0 or -errno. */
static int connect_again(struct remote *remote, struct connection *connection)
{
	uint64_t begin_ns;
	int err = 0;

	if (connection->nbd)
		return 0;
	if (!may_connect(remote))
		return -EIO;
	begin_ns = now_ns();
	connection->nbd = new_connection(remote->uri);
	if (!connection->nbd) {
		err = -EIO;
		delay_next_attempt(remote, begin_ns);
		log_state(remote, false, nbd_get_error());
	} else if (!is_same_disk(remote, connection->nbd)) {
		err = -EIO;
		nbd_close(connection->nbd);
		connection->nbd = NULL;
		log_state(
			remote, false,
			"the server came back with a smaller disk, or with one that is read-only or accepts fewer requests");
	} else {
		log_state(remote, true, NULL);
	}
	return err;
}

static void lose_connection(struct remote *remote, struct connection *connection)
{
	nbdkit_error("a connection to the backing %s was lost: %s", remote->uri, nbd_get_error());
	nbd_close(connection->nbd);
	connection->nbd = NULL;
	pthread_mutex_lock(&remote->lock);
	remote->is_in_doubt |= connection->has_unflushed;
	connection->has_unflushed = false;
	pthread_mutex_unlock(&remote->lock);
}

static void set_unflushed(struct remote *remote, struct connection *connection, bool has_unflushed)
{
	pthread_mutex_lock(&remote->lock);
	connection->has_unflushed = has_unflushed;
	pthread_mutex_unlock(&remote->lock);
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

static bool is_lost(struct nbd_handle *nbd)
{
	return nbd_aio_is_dead(nbd) || nbd_aio_is_closed(nbd);
}

static int last_error(void)
{
	return nbd_get_errno() ? -nbd_get_errno() : -EIO;
}

/* Returns 0 or -errno. */
static int run(struct remote *remote, struct request *request)
{
	struct connection *connection = take_connection(remote);
	int err = -EIO;

	for (int attempt = 0; attempt < 2; attempt++) {
		err = connect_again(remote, connection);
		if (err)
			break;
		if (!send_request(connection->nbd, request)) {
			if (request->kind <= DISCARD)
				set_unflushed(remote, connection, true);
			break;
		}
		err = last_error();
		if (!is_lost(connection->nbd))
			break;
		lose_connection(remote, connection);
		err = -EIO;
	}
	release_connection(remote, connection);
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
		set_unflushed(remote, connection, false);
	} else {
		err = last_error();
		if (is_lost(connection->nbd)) {
			lose_connection(remote, connection);
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

		if (!take_unflushed(remote, connection))
			continue;
		failed = flush_connection(remote, connection);
		release_connection(remote, connection);
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
	remote->unit_bytes = unit_bytes;
	remote->count = connections;
	pthread_mutex_init(&remote->lock, NULL);
	pthread_cond_init(&remote->one_is_free, NULL);
	remote->connection[0].nbd = new_connection(uri);
	if (!remote->connection[0].nbd)
		nbdkit_error("the backing %s cannot be reached: %s", uri, nbd_get_error());
	if (!remote->connection[0].nbd || learn(remote, remote->connection[0].nbd)) {
		remote_close(remote);
		return NULL;
	}
	return remote;
}

void remote_close(struct remote *remote)
{
	if (!remote)
		return;
	for (unsigned int i = 0; i < remote->count; i++) {
		struct nbd_handle *nbd = remote->connection[i].nbd;

		if (nbd && !is_lost(nbd))
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

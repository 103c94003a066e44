/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>

#include "nbdkit.h"
#include "remote_internal.h"

/* A connection is lost if the server acknowledges nothing for this long. */
#define TCP_TIMEOUT_MS 60000

/* After an attempt to connect that took so long and failed, the next one is made after the same time. */
#define SLOW_CONNECT_NS UINT64_C(1000000000)

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

struct nbd_handle *remote_new_connection(const char *uri)
{
	struct nbd_handle *nbd = nbd_create();

	if (!nbd || nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) || nbd_connect_uri(nbd, uri)) {
		nbd_close(nbd);
		return NULL;
	}
	set_timeout(nbd);
	return nbd;
}

struct connection *remote_take(struct remote *remote)
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

bool remote_take_unflushed(struct remote *remote, struct connection *connection)
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

void remote_release(struct remote *remote, struct connection *connection)
{
	pthread_mutex_lock(&remote->lock);
	connection->is_busy = false;
	pthread_cond_broadcast(&remote->one_is_free);
	pthread_mutex_unlock(&remote->lock);
}

/* lock is held. */
static bool is_any_connected(const struct remote *remote)
{
	for (unsigned int i = 0; i < remote->count; i++)
		if (remote->connection[i].nbd)
			return true;
	return false;
}

/* lock is held. */
static struct connection *find_connected(struct remote *remote)
{
	for (unsigned int i = 0; i < remote->count; i++)
		if (remote->connection[i].nbd && !remote->connection[i].is_busy)
			return &remote->connection[i];
	return NULL;
}

struct connection *remote_exchange(struct remote *remote, struct connection *connection)
{
	struct connection *other;

	pthread_mutex_lock(&remote->lock);
	connection->is_busy = false;
	pthread_cond_broadcast(&remote->one_is_free);
	while (!(other = find_connected(remote)) && is_any_connected(remote))
		pthread_cond_wait(&remote->one_is_free, &remote->lock);
	if (other)
		other->is_busy = true;
	pthread_mutex_unlock(&remote->lock);
	return other;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

struct attempt {
	uint64_t begin_ns;
	uint64_t connected; /* how many attempts had succeeded when this one began */
};

static bool begin_attempt(struct remote *remote, struct attempt *attempt)
{
	bool may;

	attempt->begin_ns = now_ns();
	pthread_mutex_lock(&remote->lock);
	attempt->connected = remote->connected;
	may = attempt->begin_ns >= remote->retry_ns;
	pthread_mutex_unlock(&remote->lock);
	return may;
}

static void note_success(struct remote *remote, struct connection *connection, struct nbd_handle *nbd)
{
	bool is_news;

	pthread_mutex_lock(&remote->lock);
	connection->nbd = nbd;
	remote->connected++;
	remote->retry_ns = 0;
	is_news = remote->is_failure_known;
	remote->is_failure_known = false;
	pthread_mutex_unlock(&remote->lock);
	if (is_news)
		nbdkit_debug("zpool: connected to the backing %s again", remote->uri);
}

/*
 * It takes minutes to find out that a host does not answer.  If each write of a flush did, a server that ends would try
 * for hours.  A server that refuses connections does so at once, and is tried again by each request.
 *
 * The failure says nothing about the server if there is another connection, or one was made after this attempt began.
 */
static void note_failure(struct remote *remote, const struct attempt *attempt, const char *reason)
{
	uint64_t now = now_ns();
	bool is_up, is_news;

	pthread_mutex_lock(&remote->lock);
	is_up = is_any_connected(remote) || remote->connected != attempt->connected;
	is_news = !is_up && !remote->is_failure_known;
	if (!is_up)
		remote->is_failure_known = true;
	if (!is_up && now - attempt->begin_ns >= SLOW_CONNECT_NS)
		remote->retry_ns = now + SLOW_CONNECT_NS;
	pthread_mutex_unlock(&remote->lock);
	if (is_news)
		nbdkit_error("the backing %s cannot be reached: %s", remote->uri, reason);
	else
		nbdkit_debug("zpool: no further connection to the backing %s was made: %s", remote->uri, reason);
}

int remote_connect(struct remote *remote, struct connection *connection)
{
	struct attempt attempt;
	struct nbd_handle *nbd;

	if (connection->nbd)
		return 0;
	if (!begin_attempt(remote, &attempt))
		return -EIO;
	nbd = remote_new_connection(remote->uri);
	if (!nbd) {
		note_failure(remote, &attempt, nbd_get_error());
		return -EIO;
	}
	if (!remote_is_same_disk(remote, nbd)) {
		nbd_close(nbd);
		note_failure(
			remote, &attempt,
			"the server came back with a smaller disk, or with one that is read-only or accepts fewer requests");
		return -EIO;
	}
	note_success(remote, connection, nbd);
	return 0;
}

void remote_lose(struct remote *remote, struct connection *connection)
{
	struct nbd_handle *nbd = connection->nbd;

	nbdkit_error("a connection to the backing %s was lost: %s", remote->uri, nbd_get_error());
	pthread_mutex_lock(&remote->lock);
	connection->nbd = NULL;
	remote->is_in_doubt |= connection->has_unflushed;
	connection->has_unflushed = false;
	pthread_mutex_unlock(&remote->lock);
	nbd_close(nbd);
}

void remote_set_unflushed(struct remote *remote, struct connection *connection, bool has_unflushed)
{
	pthread_mutex_lock(&remote->lock);
	connection->has_unflushed = has_unflushed;
	pthread_mutex_unlock(&remote->lock);
}

bool remote_is_lost(struct nbd_handle *nbd)
{
	return nbd_aio_is_dead(nbd) || nbd_aio_is_closed(nbd);
}

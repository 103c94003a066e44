/* SPDX-License-Identifier: MIT
 *
 * remote_server.h - an NBD server, and the functions of libnbd and nbdkit that hosts/nbdkit/remote*.c call
 *
 * The test decides when the server is restarted and when a request is on its way.  The server has one value, which a
 * restart sets back to what was flushed last.
 */
#ifndef TESTS_HOSTS_NBDKIT_REMOTE_SERVER_H
#define TESTS_HOSTS_NBDKIT_REMOTE_SERVER_H 1

#include <errno.h>
#include <libnbd.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hosts/nbdkit/nbdkit.h"
#include "tests/unit/run.h"

enum { UNIT = 4096, SIZE = 1 << 20, CONNECTIONS = 4 };

struct nbd_handle {
	unsigned int start; /* the start of the server to which this is a connection */
	bool is_dead;
};

static struct {
	unsigned int start; /* counts how often the server was started */
	unsigned char value, flushed_value;
	unsigned int flushes;
	bool can_flush;
	bool hides_size;
	size_t block_min, block_max; /* 0 if it advertises none */
	size_t longest_io;
	uint64_t longest_zero, zeros, longest_status; /* bytes, requests */
	bool is_down;
	unsigned int connect_seconds; /* how long an attempt to connect takes while it is down */
	atomic_uint attempts;         /* to connect while it is down */
} server;

static time_t seconds; /* of the clock */

/* A thread is about to wait for a connection that another one uses. */
static sem_t is_waiting;

/* The next request of this kind, or attempt to connect, waits in the server until it may end. */
static _Atomic bool holds_read, holds_write, holds_connect;
static sem_t is_held, may_end;

static void hold(_Atomic bool *holds)
{
	if (!atomic_exchange(holds, false))
		return;
	sem_post(&is_held);
	while (sem_wait(&may_end))
		;
}

static void restart_server(void)
{
	server.start++;
	server.value = server.flushed_value;
}

/* ------------------------------------------------------------------------------------------------------------------
 * libnbd and nbdkit
 */

struct nbd_handle *nbd_create(void)
{
	return calloc(1, sizeof(struct nbd_handle));
}

int nbd_connect_uri(struct nbd_handle *nbd, const char *uri)
{
	const bool is_down = server.is_down;

	(void)uri;
	nbd->start = server.start;
	hold(&holds_connect);
	if (!is_down)
		return 0;
	seconds += server.connect_seconds;
	server.attempts++;
	return -1;
}

void nbd_close(struct nbd_handle *nbd)
{
	free(nbd);
}

int nbd_shutdown(struct nbd_handle *nbd, uint32_t flags)
{
	(void)nbd;
	(void)flags;
	return 0;
}

int nbd_add_meta_context(struct nbd_handle *nbd, const char *name)
{
	(void)nbd;
	(void)name;
	return 0;
}

int nbd_aio_get_fd(struct nbd_handle *nbd)
{
	(void)nbd;
	return -1;
}

int64_t nbd_get_size(struct nbd_handle *nbd)
{
	(void)nbd;
	return server.hides_size ? -1 : SIZE;
}

int64_t nbd_get_block_size(struct nbd_handle *nbd, int type)
{
	(void)nbd;
	return type == LIBNBD_SIZE_MINIMUM   ? (int64_t)server.block_min
	       : type == LIBNBD_SIZE_MAXIMUM ? (int64_t)server.block_max
					     : 0;
}

int nbd_is_read_only(struct nbd_handle *nbd)
{
	(void)nbd;
	return 0;
}

int nbd_can_zero(struct nbd_handle *nbd)
{
	(void)nbd;
	return 1;
}

int nbd_can_flush(struct nbd_handle *nbd)
{
	(void)nbd;
	return server.can_flush;
}

int nbd_can_meta_context(struct nbd_handle *nbd, const char *name)
{
	(void)nbd;
	(void)name;
	return 1;
}

int nbd_can_multi_conn(struct nbd_handle *nbd)
{
	(void)nbd;
	return 1;
}

const char *nbd_get_error(void)
{
	return "the server was restarted";
}

int nbd_get_errno(void)
{
	return ECONNRESET;
}

int nbd_aio_is_dead(struct nbd_handle *nbd)
{
	return nbd->is_dead;
}

int nbd_aio_is_closed(struct nbd_handle *nbd)
{
	(void)nbd;
	return 0;
}

static void note_io(size_t bytes)
{
	if (bytes > server.longest_io)
		server.longest_io = bytes;
}

static int result_of(struct nbd_handle *nbd)
{
	nbd->is_dead = nbd->start != server.start;
	return nbd->is_dead ? -1 : 0;
}

int nbd_pread(struct nbd_handle *nbd, void *buf, size_t count, uint64_t offset, uint32_t flags)
{
	(void)offset;
	(void)flags;
	hold(&holds_read);
	if (result_of(nbd))
		return -1;
	note_io(count);
	memset(buf, server.value, count);
	return 0;
}

int nbd_pwrite(struct nbd_handle *nbd, const void *buf, size_t count, uint64_t offset, uint32_t flags)
{
	(void)offset;
	(void)flags;
	hold(&holds_write);
	if (result_of(nbd))
		return -1;
	note_io(count);
	server.value = *(const unsigned char *)buf;
	return 0;
}

int nbd_zero(struct nbd_handle *nbd, uint64_t count, uint64_t offset, uint32_t flags)
{
	(void)offset;
	(void)flags;
	if (result_of(nbd))
		return -1;
	if (count > server.longest_zero)
		server.longest_zero = count;
	server.zeros++;
	server.value = 0;
	return 0;
}

int nbd_flush(struct nbd_handle *nbd, uint32_t flags)
{
	(void)flags;
	if (result_of(nbd))
		return -1;
	server.flushes++;
	server.flushed_value = server.value;
	return 0;
}

/* The whole range is one extent of data. */
int nbd_block_status(struct nbd_handle *nbd, uint64_t count, uint64_t offset, nbd_extent_callback callback,
		     uint32_t flags)
{
	uint32_t extent[2] = { (uint32_t)count, 0 };
	int err = 0;

	(void)flags;
	if (count > server.longest_status)
		server.longest_status = count;
	callback.callback(callback.user_data, LIBNBD_CONTEXT_BASE_ALLOCATION, offset, extent, 2, &err);
	return result_of(nbd);
}

/* The Makefile renames clock_gettime in this file and in the plugin's, so the plugin calls this function. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	ck_assert_int_eq(clock, CLOCK_MONOTONIC);
	*now = (struct timespec){ .tv_sec = seconds };
	return 0;
}

/* It is renamed like clock_gettime. */
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
	static const struct timespec end_of_time = { .tv_sec = INT32_MAX };

	sem_post(&is_waiting);
	return pthread_cond_timedwait(condition, lock, &end_of_time);
}

static char last_error[256];

__attribute__((format(printf, 1, 2))) void nbdkit_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(last_error, sizeof(last_error), format, args);
	va_end(args);
}

void nbdkit_debug(const char *format, ...)
{
	(void)format;
}

#endif

/* SPDX-License-Identifier: MIT
 *
 * remote.c - an NBD server as the backing: when it is restarted, a flush that succeeds has lost nothing, and no request
 * is longer than it accepts
 *
 * The functions of libnbd and nbdkit that hosts/nbdkit/remote*.c call are replaced by the ones below, so that the test
 * decides when the server is restarted and when a request is on its way.  The server has one value, which a restart
 * sets back to what was flushed last.
 */
#include "config.h"

#include <errno.h>
#include <libnbd.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hosts/nbdkit/nbdkit.h"
#include "hosts/nbdkit/remote.h"
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

void nbdkit_error(const char *format, ...)
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

/* ------------------------------------------------------------------------------------------------------------------
 * Cases
 */

static struct remote *remote;
static struct zpool_store_backing call;
static unsigned char unit[UNIT];

static void start(void)
{
	memset(&server, 0, sizeof(server));
	server.can_flush = true;
	ck_assert_int_eq(sem_init(&is_waiting, 0, 0), 0);
	ck_assert_int_eq(sem_init(&is_held, 0, 0), 0);
	ck_assert_int_eq(sem_init(&may_end, 0, 0), 0);
	remote = remote_open("nbd://test", CONNECTIONS, UNIT);
	ck_assert_ptr_nonnull(remote);
	call = remote_backing(remote);
}

static void write_value(unsigned char value)
{
	memset(unit, value, UNIT);
	ck_assert_int_eq(call.pwrite(call.user, unit, UNIT, 0), UNIT);
}

static void *write_one(void *unused)
{
	(void)unused;
	write_value(1);
	return NULL;
}

static void *read_one(void *unused)
{
	static unsigned char read_unit[UNIT];

	(void)unused;
	ck_assert_int_eq(call.pread(call.user, read_unit, UNIT, 0), UNIT);
	return NULL;
}

/* Starts a thread whose request waits in the server until end_held(). */
static pthread_t start_held(_Atomic bool *holds, void *(*request)(void *))
{
	pthread_t thread;

	atomic_store(holds, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, request, NULL), 0);
	while (sem_wait(&is_held))
		;
	return thread;
}

static void end_held(pthread_t thread)
{
	sem_post(&may_end);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(flush_fails_once_after_a_restart_that_lost_a_write)
{
	start();
	write_value(1);
	restart_server();
	ck_assert_int_eq(call.flush(call.user), -EIO);
	ck_assert_int_eq(call.flush(call.user), 0);
	write_value(2);
	ck_assert_int_eq(call.flush(call.user), 0);
	ck_assert_int_eq(server.flushed_value, 2);
	restart_server();
	ck_assert_int_eq(call.flush(call.user), 0);
	remote_close(remote);
}
END_TEST

/* The flush does not include the write, which is complete only after it. */
START_TEST(write_that_a_flush_did_not_wait_for_is_not_flushed)
{
	pthread_t writer;

	start();
	writer = start_held(&holds_write, write_one);
	ck_assert_int_eq(call.flush(call.user), 0);
	end_held(writer);
	restart_server();
	ck_assert_int_eq(call.flush(call.user), -EIO);
	remote_close(remote);
}
END_TEST

static void *flush_that_must_fail(void *unused)
{
	(void)unused;
	ck_assert_int_eq(call.flush(call.user), -EIO);
	return NULL;
}

/* The connection of the write is in use, and another one would be connected to the new server. */
START_TEST(flush_notices_a_restart_on_a_connection_that_is_in_use)
{
	pthread_t reader, flusher;

	start();
	write_value(1);
	reader = start_held(&holds_read, read_one);
	restart_server();
	ck_assert_int_eq(pthread_create(&flusher, NULL, flush_that_must_fail, NULL), 0);
	while (sem_wait(&is_waiting))
		;
	end_held(reader);
	ck_assert_int_eq(pthread_join(flusher, NULL), 0);
	ck_assert_int_eq(call.flush(call.user), 0);
	remote_close(remote);
}
END_TEST

START_TEST(each_connection_that_wrote_is_flushed)
{
	pthread_t writer;

	start();
	writer = start_held(&holds_write, write_one);
	write_value(2);
	end_held(writer);
	ck_assert_int_eq(call.flush(call.user), 0);
	ck_assert_uint_eq(server.flushes, 2);
	ck_assert_int_eq(call.flush(call.user), 0);
	ck_assert_uint_eq(server.flushes, 2);
	remote_close(remote);
}
END_TEST

START_TEST(server_without_flush_is_not_asked_to_flush)
{
	start();
	remote_close(remote);
	server.can_flush = false;
	remote = remote_open("nbd://test", CONNECTIONS, UNIT);
	call = remote_backing(remote);
	write_value(1);
	ck_assert_int_eq(call.flush(call.user), 0);
	ck_assert_uint_eq(server.flushes, 0);
	write_value(2);
	restart_server();
	ck_assert_int_eq(call.zero(call.user, 0, UNIT), 0);
	ck_assert_int_eq(call.flush(call.user), -EIO);
	ck_assert_int_eq(call.flush(call.user), 0);
	remote_close(remote);
}
END_TEST

START_TEST(server_that_does_not_say_how_large_the_disk_is_is_refused)
{
	start();
	remote_close(remote);
	server.hides_size = true;
	ck_assert_ptr_null(remote_open("nbd://test", CONNECTIONS, UNIT));
	assert_contains(last_error, "the size of the backing nbd://test cannot be determined");
	/* A server that came back like that serves another disk. */
	server.hides_size = false;
	remote = remote_open("nbd://test", CONNECTIONS, UNIT);
	ck_assert_ptr_nonnull(remote);
	call = remote_backing(remote);
	restart_server();
	server.hides_size = true;
	ck_assert_int_eq(call.pread(call.user, unit, UNIT, 0), -EIO);
	remote_close(remote);
}
END_TEST

static unsigned char units[8 * UNIT];

static void start_with_blocks(size_t block_min, size_t block_max)
{
	start();
	remote_close(remote);
	server.block_min = block_min;
	server.block_max = block_max;
	remote = remote_open("nbd://test", CONNECTIONS, UNIT);
	ck_assert_ptr_nonnull(remote);
	call = remote_backing(remote);
}

/* The store asks for the rest. */
static void expect_io_of(int64_t bytes)
{
	ck_assert_int_eq(call.pwrite(call.user, units, sizeof(units), 0), bytes);
	ck_assert_int_eq(call.pread(call.user, units, sizeof(units), 0), bytes);
	ck_assert_int_eq(server.longest_io, bytes);
	remote_close(remote);
}

START_TEST(request_is_no_longer_than_the_server_accepts)
{
	start_with_blocks(1, 0);
	expect_io_of(8 * UNIT);
	start_with_blocks(1, UINT32_MAX);
	expect_io_of(8 * UNIT);
	start_with_blocks(512, 2 * UNIT);
	expect_io_of(2 * UNIT);
	/* No unit is written in two requests. */
	start_with_blocks(512, 3 * UNIT - 512);
	expect_io_of(2 * UNIT);
	/* A request consists of whole blocks even if it is shorter than a unit. */
	start_with_blocks(1024, UNIT - 512);
	expect_io_of(UNIT - 1024);
}
END_TEST

/* The protocol has 32 bits for the length of a request. */
START_TEST(long_ranges_are_zeroed_and_examined_in_steps)
{
	const uint64_t step = UINT64_C(1) << 30;
	int is_hole = 1;

	start();
	ck_assert_int_eq(call.zero(call.user, UNIT, 5 * step + UNIT), 0);
	ck_assert_uint_eq(server.zeros, 6);
	ck_assert_int_eq(call.discard(call.user, UNIT, 2 * step), 0);
	ck_assert_uint_eq(server.zeros, 8);
	ck_assert_uint_eq(server.longest_zero, step);
	ck_assert_int_eq(call.next_extent(call.user, 0, 5 * step, &is_hole), step);
	ck_assert_uint_eq(server.longest_status, step);
	ck_assert_int_eq(is_hole, 0);
	remote_close(remote);
}
END_TEST

/* Restarts the server with other block sizes.  The write does not depend on what was lost. */
static int64_t write_after_restart(size_t block_min, size_t block_max)
{
	restart_server();
	server.block_min = block_min;
	server.block_max = block_max;
	return call.pwrite(call.user, units, sizeof(units), 0);
}

START_TEST(server_that_came_back_must_accept_the_same_requests)
{
	start_with_blocks(512, 2 * UNIT);
	ck_assert_int_eq(write_after_restart(512, UNIT), -EIO);
	ck_assert_int_eq(write_after_restart(2 * UNIT, 2 * UNIT), -EIO);
	ck_assert_int_eq(write_after_restart(UNIT, 2 * UNIT), 2 * UNIT);
	ck_assert_int_eq(write_after_restart(0, 0), 2 * UNIT);
	remote_close(remote);
	/* The disk makes no requests of more than 64 KiB. */
	start_with_blocks(1, 0);
	ck_assert_int_eq(write_after_restart(1, 1 << 16), 8 * UNIT);
	remote_close(remote);
}
END_TEST

static int64_t read_unit(void)
{
	return call.pread(call.user, unit, UNIT, 0);
}

START_TEST(requests_fail_at_once_after_an_attempt_to_connect_that_took_long)
{
	start();
	restart_server();
	server.is_down = true;
	server.connect_seconds = 100;
	ck_assert_int_eq(read_unit(), -EIO);
	ck_assert_int_eq(read_unit(), -EIO);
	ck_assert_uint_eq(server.attempts, 1);
	seconds++;
	ck_assert_int_eq(read_unit(), -EIO);
	ck_assert_uint_eq(server.attempts, 2);
	server.is_down = false;
	ck_assert_int_eq(read_unit(), -EIO);
	seconds++;
	ck_assert_int_eq(read_unit(), UNIT);
	remote_close(remote);
}
END_TEST

START_TEST(each_request_tries_to_connect_to_a_server_that_refuses)
{
	start();
	restart_server();
	server.is_down = true;
	ck_assert_int_eq(read_unit(), -EIO);
	ck_assert_int_eq(read_unit(), -EIO);
	ck_assert_uint_eq(server.attempts, 2);
	server.is_down = false;
	ck_assert_int_eq(read_unit(), UNIT);
	remote_close(remote);
}
END_TEST

START_TEST(request_waits_for_a_connection_if_no_further_one_can_be_made)
{
	pthread_t reader, other;

	start();
	reader = start_held(&holds_read, read_one);
	server.is_down = true;
	ck_assert_int_eq(pthread_create(&other, NULL, read_one, NULL), 0);
	while (server.attempts == 0)
		sched_yield();
	end_held(reader);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	remote_close(remote);
}
END_TEST

START_TEST(attempt_that_fails_after_another_one_succeeded_delays_no_request)
{
	pthread_t late, reader;

	start();
	restart_server();
	server.is_down = true;
	server.connect_seconds = 100;
	late = start_held(&holds_connect, read_one);
	server.is_down = false;
	ck_assert_int_eq(read_unit(), UNIT);
	end_held(late);
	ck_assert_uint_eq(server.attempts, 1);
	/* While one connection is in use, another one can be made at once. */
	reader = start_held(&holds_read, read_one);
	ck_assert_int_eq(read_unit(), UNIT);
	end_held(reader);
	remote_close(remote);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		flush_fails_once_after_a_restart_that_lost_a_write,
		write_that_a_flush_did_not_wait_for_is_not_flushed,
		flush_notices_a_restart_on_a_connection_that_is_in_use,
		each_connection_that_wrote_is_flushed,
		server_without_flush_is_not_asked_to_flush,
		server_that_does_not_say_how_large_the_disk_is_is_refused,
		request_is_no_longer_than_the_server_accepts,
		long_ranges_are_zeroed_and_examined_in_steps,
		server_that_came_back_must_accept_the_same_requests,
		requests_fail_at_once_after_an_attempt_to_connect_that_took_long,
		each_request_tries_to_connect_to_a_server_that_refuses,
		request_waits_for_a_connection_if_no_further_one_can_be_made,
		attempt_that_fails_after_another_one_succeeded_delays_no_request,
	};

	return UNIT_RUN("hosts/nbdkit/remote", tests);
}

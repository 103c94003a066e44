/* SPDX-License-Identifier: MIT
 *
 * remote.c - an NBD server as the backing: when it is restarted, a flush that succeeds has lost nothing, and no request
 * is longer than it accepts
 *
 * The functions of libnbd and nbdkit that hosts/nbdkit/remote*.c call are replaced by those of remote_server.h.
 */
#include "config.h"

#include <errno.h>
#include <sched.h>

#include "hosts/nbdkit/nbdkit.h"
#include "hosts/nbdkit/remote.h"
#include "tests/hosts/nbdkit/remote_server.h"
#include "tests/unit/run.h"

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

/* SPDX-License-Identifier: MIT
 *
 * handles_fixture.h - a handle table for tests
 */
#ifndef HANDLES_FIXTURE_H
#define HANDLES_FIXTURE_H

#include "handles.h"

#include "unit.h"

/* The end of the suite's name, which says which layout the program tests. */
#if ZP_HANDLE_NARROW
#define ZP_LAYOUT ", narrow"
#else
#define ZP_LAYOUT ""
#endif

static struct zp_pages pages;
static struct zp_handles handles;

static inline void setup_with(unsigned int generation_bits)
{
	ck_assert_int_eq(zp_pages_init(&pages, NULL, -1, 0), 0);
	ck_assert_int_eq(zp_handles_init(&handles, &pages, 8, generation_bits), 0);
}

static inline void setup(void)
{
	setup_with(0);
}

static inline void setup_few_generations(void)
{
	setup_with(3);
}

static inline void check_sound(void)
{
	const char *fault = zp_handles_verify(&handles);

	ck_assert_msg(!fault, "%s", fault);
	fault = zp_pages_verify(&pages);
	ck_assert_msg(!fault, "%s", fault);
}

static inline void teardown(void)
{
	check_sound();
	zp_handles_fini(&handles);
	zp_pages_fini(&pages);
}

static inline unsigned long store(uint64_t location)
{
	unsigned long handle;
	uint32_t slot;

	unit_require(zp_handles_bind(&handles, 0, &slot, 1) == 1);
	*(uint64_t *)zp_handles_payload(&handles, slot) = ~location;
	handle = zp_handles_publish(&handles, slot, location);
	unit_require(handle != 0);
	return handle;
}

static inline void drop(unsigned long handle)
{
	uint64_t location;
	uint32_t slot;

	unit_require(zp_handles_begin_free(&handles, handle, &slot, &location) == 0);
	unit_require(slot == zp_handle_slot(handle));
	zp_handles_release(&handles, slot);
}

static inline void check_refused(unsigned long handle)
{
	uint64_t location;
	uint32_t slot;

	unit_require(zp_handles_pin(&handles, handle, &location) == -EINVAL);
	unit_require(zp_handles_unpin(&handles, handle) == -EINVAL);
	unit_require(zp_handles_lookup(&handles, handle, &location) == -EINVAL);
	unit_require(zp_handles_begin_free(&handles, handle, &slot, &location) == -EINVAL);
	unit_require(!zp_handles_is_idle(&handles, handle));
}

static inline TCase *tcase_with(Suite *suite, const char *name, void (*prepare)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, prepare, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	return tcase;
}

#endif

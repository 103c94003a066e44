/* SPDX-License-Identifier: MIT
 *
 * cases_params_store.c - storing objects with the minimum, the maximum and each choice of a driver's parameters
 */
#include "cases.h"
#include "objects.h"

#include <stdio.h>
#include <string.h>

enum { OBJECTS = 300 };

/*
 * Stores objects up to the pool's largest size, reads, frees and stores again.  A small limit may leave no space for
 * any.
 */
static void store_in(struct zpool *pool, const char *setting)
{
	size_t max_bytes = zpool_max_object_size(pool), largest;
	struct ct_set set;
	char when[160];
	int result = 0;

	CT_CHECK(max_bytes > 0, "with %s, zpool_max_object_size() is 0", setting);
	/*
	 * A pool with a limit, or a driver that accepts any size malloc() accepts, need not hold many of the largest
	 * objects.
	 */
	largest = max_bytes < 65536 ? max_bytes : 65536;
	snprintf(when, sizeof(when), "in a pool with %s", setting);
	ct_set_init(&set, OBJECTS);
	for (int round = 0; round < 3; round++) {
		while (result == 0 && set.count < OBJECTS) {
			size_t size = set.count % 50 == 0 ? largest : ct_rng_size(&ct.rng, largest);

			result = ct_set_try(pool, &set, size, set.count % 3 ? ZPOOL_GFP_KERNEL : ZPOOL_GFP_ZERO);
		}
		CT_CHECK(result == 0 || result == -ENOMEM, "with %s, malloc returned %s: %s", setting,
			 ct_error_name(result), zpool_last_error());
		ct_set_check(pool, &set, when);
		ct_set_thin(pool, &set, set.count / 3, &ct.rng);
		zpool_compact(pool, 0, 0, NULL);
		ct_trim(pool);
		ct_set_check(pool, &set, when);
		result = 0;
	}
	CT_CHECK(zpool_get_total_size(pool) > 0, "with %s, zpool_get_total_size() is 0 though an object is stored",
		 setting);
	ct_set_free_all(pool, &set);
	ct_set_fini(&set);
}

static void try_value(const char *key, const char *value)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	char setting[128];
	struct zpool *pool;

	snprintf(setting, sizeof(setting), "%s=%s", key, value);
	args.evict = ct_evict_nothing;
	errno = 0;
	pool = zpool_open(ct_spec_with(setting), &args, sizeof(args));
	if (!pool) {
		/* A filter may need something that the driver below does not support with this value, and says so. */
		if (errno == EINVAL && strchr(ct.spec, '+') && strstr(zpool_last_error(), "filter"))
			return;
		/* The value may need more memory than there is, or be a limit below the size of an empty pool. */
		CT_CHECK(errno == ENOMEM, "%s is in range, but zpool_set_param() returned %s: %s", setting,
			 ct_error_name(-errno), zpool_last_error());
		return;
	}
	store_in(pool, setting);
	zpool_destroy_pool(pool);
}

static void try_number(const char *key, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	try_value(key, text);
}

static int try_param(const struct zpool_param *param, size_t size, void *user)
{
	(void)size;
	(void)user;
	switch (param->type) {
	case ZPOOL_PARAM_BOOL:
		try_value(param->key, "yes");
		try_value(param->key, "no");
		break;
	case ZPOOL_PARAM_UINT:
	case ZPOOL_PARAM_SIZE:
		try_number(param->key, param->min);
		if (param->min < param->max)
			try_number(param->key, param->min + 1);
		if (param->max > param->min)
			try_number(param->key, param->max);
		if (param->max > param->min + 1)
			try_number(param->key, param->min + (param->max - param->min) / 2);
		if (param->max > param->min)
			try_number(param->key, param->max - 1);
		break;
	case ZPOOL_PARAM_ENUM:
		for (const char *const *choice = param->choices; choice && *choice; choice++)
			try_value(param->key, *choice);
		break;
	default: /* the table does not describe which texts are valid */
		break;
	}
	return 0;
}

static void objects_are_stored_with_every_parameter_value(void)
{
	CT_MUST(zpool_each_param(ct.type, try_param, NULL));
}

/* Sets changeable parameters to their minimum, their maximum and back while objects exist. */
static int change_param(const struct zpool_param *param, size_t size, void *user)
{
	struct zpool *pool = user;
	char text[32];

	(void)size;
	/* A limit below the pool's size would not let anything be stored; the cases about limits test it. */
	if (!(param->flags & ZPOOL_PARAM_RUNTIME) || strcmp(param->key, "limit") == 0 ||
	    (param->type != ZPOOL_PARAM_UINT && param->type != ZPOOL_PARAM_SIZE))
		return 0;
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)(i ? param->max : param->min));
		CT_MUST(zpool_set_param(pool, param->key, text));
		snprintf(text, sizeof(text), "%s set to its %s", param->key, i ? "greatest" : "least");
		store_in(pool, text);
	}
	return 0;
}

static void objects_survive_parameter_changes(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_set_init(&set, OBJECTS);
	ct_set_fill(pool, &set, OBJECTS, &ct.rng);
	CT_MUST(zpool_each_param(ct.type, change_param, pool));
	ct_set_check(pool, &set, "stored before parameters were changed");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_params_store[] = {
	{ "objects_are_stored_with_every_parameter_value",
	  "A pool works with each numeric parameter at its minimum, its maximum and values between, and with each choice (texts are not tried).",
	  objects_are_stored_with_every_parameter_value, 0 },
	{ "objects_survive_parameter_changes",
	  "A pool works and loses nothing while its parameters are set to their minimum and their maximum.",
	  objects_survive_parameter_changes, 0 },
	{ NULL, NULL, NULL, 0 },
};

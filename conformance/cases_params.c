/* SPDX-License-Identifier: MIT
 *
 * cases_params.c - a driver's parameters, as zpool_each_param() reports them
 */
#include "cases.h"
#include "objects.h"

#include <stdio.h>
#include <string.h>

#define PARAMS_MAX 64

/* Writes a value in which every byte with a meaning in a spec is escaped. */
static void escape(char *to, size_t size, const char *from)
{
	size_t used = 0;

	for (; *from != '\0' && used + 4 < size; from++) {
		if (strchr("%,+:=", *from))
			used += (size_t)snprintf(to + used, size - used, "%%%02X", (unsigned char)*from);
		else
			to[used++] = *from;
	}
	to[used] = '\0';
}

/* Opens a pool of the spec under test with key=value, or returns NULL. */
static struct zpool *pool_with(const char *key, const char *value)
{
	char escaped[512], extra[640];
	struct zpool *pool;

	escape(escaped, sizeof(escaped), value);
	snprintf(extra, sizeof(extra), "%s=%s", key, escaped);
	pool = zpool_create_pool(ct_spec_with(extra), ZPOOL_GFP_KERNEL, NULL);
	return pool;
}

static void refuse_value(const char *key, const char *value)
{
	struct zpool *pool;

	ct_message_mark();
	errno = 0;
	pool = pool_with(key, value);
	CT_CHECK(pool == NULL, "%s=%s was accepted", key, value);
	CT_CHECK(errno == EINVAL, "errno after %s=%s: got %s, expected EINVAL", key, value, ct_error_name(-errno));
	ct_message_expect(__FILE__, __LINE__, "a value out of range");
	CT_CHECK(strstr(zpool_last_error(), key) != NULL, "the message about %s=%s does not name the key: \"%s\"", key,
		 value, zpool_last_error());
}

/* A pool with a value in range must work, except that a large value may need more memory than there is. */
static void take_value(const char *key, const char *value)
{
	struct zpool *pool = pool_with(key, value);
	struct ct_object object;
	int result;

	if (!pool) {
		/* A filter may need something that the driver below does not support with this value, and says so. */
		if (errno == EINVAL && strchr(ct.spec, '+') && strstr(zpool_last_error(), "filter"))
			return;
		CT_CHECK(errno == ENOMEM, "%s=%s is in range, but gave %s: %s", key, value, ct_error_name(-errno),
			 zpool_last_error());
		return;
	}
	result = ct_object_try(pool, &object, 1, ZPOOL_GFP_KERNEL, 1);
	CT_CHECK(result == 0 || result == -ENOMEM, "with %s=%s malloc returned %s", key, value, ct_error_name(result));
	if (result == 0)
		ct_object_check(pool, &object, "in a pool with a parameter");
	zpool_destroy_pool(pool);
}

static void number_text(char *text, size_t size, uint64_t number)
{
	snprintf(text, size, "%llu", (unsigned long long)number);
}

static int check_defaults(const struct zpool_param *param, size_t size, void *user)
{
	size_t *count = user;
	struct zpool *pool;

	CT_CHECK(size >= sizeof(*param), "zpool_each_param() passed a structure of %zu bytes", size);
	CT_CHECK(param->key && param->key[0] && param->help && param->help[0],
		 "a parameter has no key or no help text");
	CT_CHECK(param->type >= ZPOOL_PARAM_BOOL && param->type <= ZPOOL_PARAM_STRING,
		 "parameter %s has the unknown type %u", param->key, (unsigned int)param->type);
	++*count;
	if (!param->default_value)
		return 0;
	pool = pool_with(param->key, param->default_value);
	CT_CHECK(pool != NULL, "%s=%s is the default, but it is refused when given explicitly: %s", param->key,
		 param->default_value, zpool_last_error());
	zpool_destroy_pool(pool);
	return 0;
}

static void parameters_accept_their_defaults(void)
{
	size_t count = 0;

	CT_MUST(zpool_each_param(ct.type, check_defaults, &count));
	CT_CHECK(count >= 1, "zpool_each_param() does not even show the parameter limit");
}

static int check_range(const struct zpool_param *param, size_t size, void *user)
{
	char text[600];

	(void)size;
	(void)user;
	switch (param->type) {
	case ZPOOL_PARAM_BOOL:
		refuse_value(param->key, "maybe");
		refuse_value(param->key, "2");
		take_value(param->key, "yes");
		take_value(param->key, "off");
		break;
	case ZPOOL_PARAM_UINT:
	case ZPOOL_PARAM_SIZE:
		refuse_value(param->key, "abc");
		refuse_value(param->key, "-1");
		refuse_value(param->key, "1 2");
		refuse_value(param->key, "99999999999999999999999");
		if (param->max != 0 && param->max < UINT64_MAX) {
			number_text(text, sizeof(text), param->max + 1);
			refuse_value(param->key, text);
		}
		if (param->min > 0) {
			number_text(text, sizeof(text), param->min - 1);
			refuse_value(param->key, text);
		}
		number_text(text, sizeof(text), param->min);
		take_value(param->key, text);
		break;
	case ZPOOL_PARAM_ENUM:
		refuse_value(param->key, "no_such_choice");
		for (const char *const *choice = param->choices; choice && *choice; choice++)
			take_value(param->key, *choice);
		break;
	default:
		if (param->max > 0 && param->max < 500) {
			memset(text, 'x', param->max + 1);
			text[param->max + 1] = '\0';
			refuse_value(param->key, text);
		}
		break;
	}
	return 0;
}

static void values_out_of_range_are_refused(void)
{
	CT_MUST(zpool_each_param(ct.type, check_range, NULL));
}

static int find_in_message(const struct zpool_param *param, size_t size, void *user)
{
	const char *message = user;

	(void)size;
	CT_CHECK(strstr(message, param->key) != NULL, "the message about an unknown key does not list %s: \"%s\"",
		 param->key, message);
	CT_CHECK(strstr(message, param->help) != NULL, "the message about an unknown key does not explain %s: \"%s\"",
		 param->key, message);
	return 0;
}

static void unknown_keys_are_refused_with_a_list(void)
{
	char message[8192];

	CT_REFUSED_NULL(zpool_create_pool(ct_spec_with("no_such_key=1"), ZPOOL_GFP_KERNEL, NULL), EINVAL);
	snprintf(message, sizeof(message), "%s", zpool_last_error());
	CT_CHECK(strstr(message, "no_such_key") != NULL, "the message does not name the unknown key: \"%s\"", message);
	CT_MUST(zpool_each_param(ct.type, find_in_message, message));
}

static void malformed_specs_are_refused(void)
{
	static const char *const extras[] = {
		"limit",      "limit=",   "=1",        "limit=1M,",      "limit=1M,,limit=2M",
		",limit=1M",  "limit=%",  "limit=%zz", "limit=1M:",      "limit=1M+",
		"limit=1M=2", "LIMIT=1M", "limit =1M", "limit=1M limit", "limit=1M,limit="
	};
	char spec[256];

	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		struct zpool *pool;

		ct_message_mark();
		errno = 0;
		pool = zpool_create_pool(ct_spec_with(extras[i]), ZPOOL_GFP_KERNEL, NULL);
		CT_CHECK(pool == NULL, "the malformed spec \"%s\" was accepted", ct_spec_with(extras[i]));
		CT_CHECK(errno == EINVAL, "errno after the malformed spec \"%s\": got %s, expected EINVAL",
			 ct_spec_with(extras[i]), ct_error_name(-errno));
		ct_message_expect(__FILE__, __LINE__, "a malformed spec");
	}
	snprintf(spec, sizeof(spec), "+%s", ct.spec);
	CT_REFUSED_NULL(zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL), EINVAL);
	snprintf(spec, sizeof(spec), "%s+", ct.spec);
	CT_REFUSED_NULL(zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL), EINVAL);
	/* A driver that is not a filter cannot be used as a layer above another driver. */
	snprintf(spec, sizeof(spec), "%s+%s", ct.type, ct.type);
	CT_REFUSED_NULL(zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL), EINVAL);
}

/* Returns a value that the parameter accepts, or NULL: nothing is known about strings without a default. */
static const char *valid_value(const struct zpool_param *param, char text[32])
{
	if (param->default_value)
		return param->default_value;
	if (param->type == ZPOOL_PARAM_ENUM)
		return param->choices[0];
	if (param->type == ZPOOL_PARAM_STRING)
		return NULL;
	snprintf(text, 32, "%llu", (unsigned long long)(param->type == ZPOOL_PARAM_BOOL ? 1 : param->min));
	return text;
}

static int set_at_run_time(const struct zpool_param *param, size_t size, void *user)
{
	struct zpool *pool = user;
	char part_key[128], text[32];
	const char *value = valid_value(param, text);

	(void)size;
	if (!value)
		return 0;
	snprintf(part_key, sizeof(part_key), "%s.%s", ct.type, param->key);
	if (!(param->flags & ZPOOL_PARAM_RUNTIME)) {
		CT_REFUSED(zpool_set_param(pool, param->key, value), EOPNOTSUPP);
		CT_REFUSED(zpool_set_param(pool, part_key, value), EOPNOTSUPP);
		return 0;
	}
	CT_MUST(zpool_set_param(pool, param->key, value));
	CT_MUST(zpool_set_param(pool, part_key, value));
	if (param->type == ZPOOL_PARAM_UINT || param->type == ZPOOL_PARAM_SIZE)
		CT_REFUSED(zpool_set_param(pool, param->key, "99999999999999999999999"), EINVAL);
	if (param->type != ZPOOL_PARAM_STRING)
		CT_REFUSED(zpool_set_param(pool, param->key, "no such value"), EINVAL);
	return 0;
}

static void set_param_works_or_is_refused(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_set_init(&set, 500);
	ct_set_fill(pool, &set, 400, &ct.rng);
	CT_REFUSED(zpool_set_param(pool, "no_such_key", "1"), EINVAL);
	CT_REFUSED(zpool_set_param(pool, "", "1"), EINVAL);
	CT_REFUSED(zpool_set_param(pool, "no_such_part.limit", "1"), EINVAL);
	CT_MUST(zpool_each_param(ct.type, set_at_run_time, pool));
	ct_set_check(pool, &set, "after parameters were set");
	ct_set_fill(pool, &set, 500, &ct.rng);
	ct_set_check(pool, &set, "stored after parameters were set");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_params[] = {
	{ "parameters_accept_their_defaults",
	  "Every parameter has a key, a type and a help text, and accepts its default.",
	  parameters_accept_their_defaults, 0 },
	{ "values_out_of_range_are_refused",
	  "A value out of range gives EINVAL and a message that names the parameter.", values_out_of_range_are_refused,
	  0 },
	{ "unknown_keys_are_refused_with_a_list",
	  "An unknown parameter gives EINVAL and a message that lists the known ones with their help texts.",
	  unknown_keys_are_refused_with_a_list, 0 },
	{ "malformed_specs_are_refused", "A malformed spec returns EINVAL and a message.", malformed_specs_are_refused,
	  0 },
	{ "set_param_works_or_is_refused",
	  "zpool_set_param() changes the parameters that the driver lets change, returns -EOPNOTSUPP for the others, and loses no object.",
	  set_param_works_or_is_refused, 0 },
	{ NULL, NULL, NULL, 0 },
};

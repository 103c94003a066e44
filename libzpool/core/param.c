/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/param.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

const struct zpool_param zp_limit_param = {
	.key = ZP_LIMIT_KEY,
	.help = "maximum number of bytes that the pool may hold, 0 for no limit",
	.default_value = "0",
	.max = UINT64_MAX,
	.type = ZPOOL_PARAM_SIZE,
	.flags = ZPOOL_PARAM_RUNTIME,
};

static bool parse_bool(const char *text, uint64_t *number)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*number = i & 1;
			return true;
		}
	}
	return false;
}

/* Parses decimal digits, and for sizes one suffix. Signs, spaces and overflow are refused. */
static bool parse_number(const char *text, bool size, uint64_t *number)
{
	static const char suffixes[] = "KkMmGgTt";
	uint64_t n = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return false;
	if (at == text)
		return false;
	const char *suffix = size && *at ? strchr(suffixes, *at) : NULL;
	if (suffix) {
		unsigned int shift = 10 * ((unsigned int)(suffix - suffixes) / 2 + 1);
		if (n > UINT64_MAX >> shift)
			return false;
		n <<= shift;
		at++;
	}
	*number = n;
	return *at == '\0';
}

static bool parse_choice(const char *const *choices, const char *text, uint64_t *number)
{
	for (uint64_t i = 0; choices && choices[i]; i++) {
		if (strcmp(choices[i], text) == 0) {
			*number = i;
			return true;
		}
	}
	return false;
}

/* Describes the valid values for messages, such as "a number from 1 to 8". */
static void describe(FILE *out, const struct zpool_param *param)
{
	switch (param->type) {
	case ZPOOL_PARAM_BOOL:
		fprintf(out, "yes or no");
		break;
	case ZPOOL_PARAM_UINT:
	case ZPOOL_PARAM_SIZE:
		fprintf(out, "a %s from %" PRIu64 " to %" PRIu64,
			param->type == ZPOOL_PARAM_UINT ? "number" : "size in bytes (K, M, G, T allowed)", param->min,
			param->max);
		break;
	case ZPOOL_PARAM_ENUM:
		fprintf(out, "one of");
		for (const char *const *word = param->choices; word && *word; word++)
			fprintf(out, " %s", *word);
		break;
	default:
		fprintf(out, "a text");
		if (param->min)
			fprintf(out, " of at least %" PRIu64 " byte%s", param->min, ZPOOL_PLURAL(param->min));
		if (param->max)
			fprintf(out, "%s at most %" PRIu64 " byte%s", param->min ? " and" : " of", param->max,
				ZPOOL_PLURAL(param->max));
		break;
	}
}

static int fail_value(const char *type, const struct zpool_param *param, const char *text)
{
	char *wanted = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&wanted, &bytes);
	if (out) {
		describe(out, param);
		fclose(out);
	}
	int err = zp_fail(EINVAL, "Driver \"%s\": \"%.64s\" is not a valid value for \"%s\" (%s); use %s.", type, text,
			  param->key, param->help, wanted ? wanted : "another value");
	free(wanted);
	return err;
}

int zp_param_parse(const char *type, const struct zpool_param *param, const char *text, struct zpool_value *value)
{
	uint64_t number = 0;
	bool ok = false;

	switch (param->type) {
	case ZPOOL_PARAM_BOOL:
		ok = parse_bool(text, &number);
		break;
	case ZPOOL_PARAM_UINT:
	case ZPOOL_PARAM_SIZE:
		ok = parse_number(text, param->type == ZPOOL_PARAM_SIZE, &number) && number >= param->min &&
		     number <= param->max;
		break;
	case ZPOOL_PARAM_ENUM:
		ok = parse_choice(param->choices, text, &number);
		break;
	case ZPOOL_PARAM_STRING:
		number = strlen(text);
		ok = number >= param->min && (!param->max || number <= param->max);
		break;
	default:
		break;
	}
	if (!ok)
		return fail_value(type, param, text);
	*value = (struct zpool_value){ .key = param->key, .text = text, .number = number };
	return 0;
}

int zp_param_find(const struct zpool_driver *driver, const char *key)
{
	for (uint32_t i = 0; i < driver->param_count; i++)
		if (strcmp(driver->params[i].key, key) == 0)
			return (int)i;
	return -1;
}

int zp_param_fail_unknown(const struct zpool_driver *driver, const char *key)
{
	char *list = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&list, &bytes);
	for (uint32_t i = 0; out && i <= driver->param_count; i++) {
		const struct zpool_param *param = i < driver->param_count ? &driver->params[i] : &zp_limit_param;
		fprintf(out, "%s %s=%s (%s: ", i ? ";" : "", param->key,
			param->default_value ? param->default_value : "", param->help);
		describe(out, param);
		fprintf(out, ")");
	}
	if (out)
		fclose(out);
	int err = zp_fail(EINVAL, "Driver \"%s\" has no parameter \"%.64s\". Its parameters and defaults:%s.",
			  driver->type, key, list ? list : " (out of memory)");
	free(list);
	return err;
}

static int set_default(const struct zpool_driver *driver, uint32_t i, struct zpool_value *value)
{
	const struct zpool_param *param = &driver->params[i];
	if (!param->default_value) {
		*value = (struct zpool_value){ .key = param->key };
		return 0;
	}
	return zp_param_parse(driver->type, param, param->default_value, value);
}

int zp_param_values(const struct zpool_driver *driver, const struct zp_spec_part *part, struct zpool_value **values,
		    const char **limit_text)
{
	/* One entry more than needed, because calloc(0) may return NULL. */
	struct zpool_value *list = calloc(driver->param_count + 1, sizeof(*list));
	int err = list ? 0 : zp_fail(ENOMEM, "Out of memory for the parameters of driver \"%s\".", driver->type);

	*limit_text = NULL;
	for (uint32_t i = 0; !err && i < driver->param_count; i++)
		err = set_default(driver, i, &list[i]);
	for (unsigned int k = 0; !err && k < part->key_count; k++) {
		const struct zp_spec_key *key = &part->keys[k];
		if (strcmp(key->key, ZP_LIMIT_KEY) == 0) {
			*limit_text = key->value;
			continue;
		}
		int i = zp_param_find(driver, key->key);
		if (i < 0) {
			err = zp_param_fail_unknown(driver, key->key);
			continue;
		}
		err = zp_param_parse(driver->type, &driver->params[i], key->value, &list[i]);
		list[i].given = 1;
	}
	if (err) {
		free(list);
		list = NULL;
	}
	*values = list;
	return err;
}

/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "stack.h"

#include <sys/mman.h>
#include <unistd.h>

#include "plugins/shipped.h"

#include "../../tools/preload.h"

#define TYPE(type) type,
static const char *const drivers[] = { SHIPPED_DRIVERS(TYPE) };
static const char *const filters[] = { SHIPPED_FILTERS(TYPE) };
enum {
	DRIVERS = sizeof(drivers) / sizeof(*drivers),
	FILTERS = sizeof(filters) / sizeof(*filters),
	TYPES = DRIVERS + FILTERS,
	MAX_PARAMS = 16
};

/* The parameters of each type. The strings belong to the drivers, which stay loaded. */
static struct table {
	const char *type;
	unsigned int count;
	struct zpool_param params[MAX_PARAMS];
} tables[TYPES];
static int trace_fds[FUZZ_FILTERS_MAX];

/* A file is chosen by the harness, and `abort' would turn the misuse that targets try into the end of the program. */
static int add_param(const struct zpool_param *param, size_t size, void *user)
{
	struct table *table = user;

	(void)size;
	if (param->type != ZPOOL_PARAM_STRING && strcmp(param->key, "abort") && strcmp(param->key, "overwrite") &&
	    table->count < MAX_PARAMS)
		table->params[table->count++] = *param;
	return 0;
}

void fuzz_stack_start(void)
{
	preload_drivers();
	for (unsigned int i = 0; i < TYPES; i++) {
		tables[i].type = i < DRIVERS ? drivers[i] : filters[i - DRIVERS];
		fuzz_check(zpool_each_param(tables[i].type, add_param, &tables[i]) == 0, "%s", zpool_last_error());
	}
	for (unsigned int i = 0; i < FUZZ_FILTERS_MAX; i++) {
		trace_fds[i] = memfd_create("trace", MFD_CLOEXEC);
		fuzz_assert(trace_fds[i] >= 0);
	}
}

static const struct table *table_of(const char *type)
{
	unsigned int i = 0;

	while (strcmp(tables[i].type, type))
		i++;
	return &tables[i];
}

static unsigned long long number_for(const struct zpool_param *param, uint8_t choice)
{
	uint64_t number = (uint64_t)choice << choice % 20;

	if (!strcmp(param->key, "limit"))
		return (unsigned long long)choice << 14;
	if (choice == 0)
		return param->min;
	if (choice == 1)
		return param->max;
	number += param->min;
	return number < param->min || number > param->max ? param->max : number;
}

static void write_value(const struct zpool_param *param, uint8_t choice, char *value, size_t value_bytes)
{
	unsigned int count = 0;

	if (param->type == ZPOOL_PARAM_BOOL) {
		(void)snprintf(value, value_bytes, "%s", choice & 1 ? "yes" : "no");
	} else if (param->type == ZPOOL_PARAM_ENUM) {
		while (param->choices[count])
			count++;
		(void)snprintf(value, value_bytes, "%s", param->choices[choice % count]);
	} else {
		(void)snprintf(value, value_bytes, "%llu", number_for(param, choice));
	}
}

/* Two equal keys would be refused, so a key that is chosen again is left out. */
static size_t add_params(char *spec, size_t room, const struct table *table, struct fuzz_input *input, bool first)
{
	uint8_t count = fuzz_byte(input) & 3;
	uint32_t used = 0;
	size_t length = 0;

	while (count-- && table->count) {
		unsigned int at = fuzz_choose(input, table->count);
		char value[32];

		write_value(&table->params[at], fuzz_byte(input), value, sizeof(value));
		if (used >> at & 1)
			continue;
		used |= UINT32_C(1) << at;
		length += (size_t)snprintf(spec + length, room - length, "%c%s=%s", first ? ':' : ',',
					   table->params[at].key, value);
		first = false;
	}
	return length;
}

static void add_part(struct fuzz_stack *stack, const char *type, struct fuzz_input *input)
{
	bool traces = !strcmp(type, "trace");
	size_t length = strlen(stack->spec);

	stack->types[stack->parts++] = type;
	stack->fails = stack->fails || !strcmp(type, "fault");
	length += (size_t)snprintf(stack->spec + length, sizeof(stack->spec) - length, "%s%s",
				   stack->parts > 1 ? "+" : "", type);
	if (traces) {
		int fd = trace_fds[stack->trace_count];

		fuzz_assert(ftruncate(fd, 0) == 0);
		stack->traces[stack->trace_count++] = fd;
		length += (size_t)snprintf(stack->spec + length, sizeof(stack->spec) - length,
					   ":file=/proc/self/fd/%d,overwrite=yes", fd);
	}
	(void)add_params(stack->spec + length, sizeof(stack->spec) - length, table_of(type), input, !traces);
}

void fuzz_stack_choose(struct fuzz_stack *stack, struct fuzz_input *input)
{
	unsigned int count = fuzz_choose(input, FUZZ_FILTERS_MAX + 1);

	*stack = (struct fuzz_stack){ .parts = 0 };
	while (count--)
		add_part(stack, filters[fuzz_choose(input, FILTERS)], input);
	add_part(stack, drivers[fuzz_choose(input, DRIVERS)], input);
}

bool fuzz_stack_is_refused(const struct fuzz_stack *stack)
{
	return strstr(stack->spec, "guard") && strstr(zpool_last_error(), "red zones");
}

bool fuzz_stack_choose_param(const struct fuzz_stack *stack, struct fuzz_input *input, const char **key, char *value,
			     size_t value_bytes)
{
	const struct table *table = table_of(stack->types[fuzz_choose(input, stack->parts)]);
	uint8_t at = fuzz_byte(input), choice = fuzz_byte(input);

	if (!table->count)
		return false;
	*key = table->params[at % table->count].key;
	write_value(&table->params[at % table->count], choice, value, value_bytes);
	return true;
}

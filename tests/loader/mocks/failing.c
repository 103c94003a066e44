/* SPDX-License-Identifier: MIT
 *
 * This mock fails at run time, in the way that the parameter `how` names.
 */
#include "mock_driver.h"

static const char *const ways[] = { "not", "quietly", "aloud", "positive", "nothing", "empty", "skewed", NULL };

static const struct zpool_param params[] = {
	{ .key = "how",
	  .help = "in which way create fails",
	  .default_value = "not",
	  .choices = ways,
	  .type = ZPOOL_PARAM_ENUM },
};

static int failing_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	switch (args->values[0].number) {
	case 1:
		return -ENXIO;
	case 2:
		args->host->error(args->core, "The failing mock finds no device \"%s\".", args->name);
		return -ENXIO;
	case 3:
		return ENXIO;
	case 4:
		return 0;
	default:
		break;
	}
	int err = mock_create(args, out);
	if (args->values[0].number == 5)
		out->max_object_bytes = 0;
	if (args->values[0].number == 6)
		out->alignment_bytes = 20;
	return err;
}

static void failing_destroy(void *context)
{
	mock_tell("failing", "destroy");
	mock_destroy(context);
}

#define MOCK_TYPE failing
#define MOCK_PARAMS params
#define MOCK_CREATE failing_create
#define MOCK_DESTROY failing_destroy
#include "mock.h"

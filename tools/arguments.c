/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <argp.h>
#include <errno.h>

#include "message.h"
#include "zpoolctl.h"

int parse_arguments(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input)
{
	error_t err = argp_parse(argp, argc, argv, flags, NULL, input);

	if (err == ENOMEM)
		out_of_memory();
	return err ? STATUS_USAGE : STATUS_OK;
}

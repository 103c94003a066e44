/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/inside.h"

static _Thread_local unsigned int depth __attribute__((tls_model("initial-exec")));

bool zp_loader_inside(void)
{
	return depth > 0;
}

void zp_loader_enter(void)
{
	depth++;
}

void zp_loader_leave(void)
{
	depth--;
}

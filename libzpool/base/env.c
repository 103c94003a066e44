/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/env.h"

#include <stdlib.h>
#include <unistd.h>
#ifdef HAVE_GETAUXVAL
#include <sys/auxv.h>
#endif

bool zp_is_secure(void)
{
#ifdef HAVE_GETAUXVAL
	return getauxval(AT_SECURE) != 0;
#else
	return getuid() != geteuid() || getgid() != getegid();
#endif
}

const char *zp_secure_getenv(const char *name)
{
#ifdef HAVE_SECURE_GETENV
	return secure_getenv(name);
#else
	return zp_is_secure() ? NULL : getenv(name);
#endif
}

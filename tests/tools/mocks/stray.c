/* SPDX-License-Identifier: MIT
 *
 * stray.c - a driver that writes a byte to descriptors that are not its own, such as a forgotten debug message
 */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mock-pool.h"

enum { FD_MAX = 63 };

/* Pipes that the tool did not make, such as those of make(1), were inherited, so they lack the flag. */
static bool is_pipe_of_the_tool(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISFIFO(status.st_mode) && fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

static int stray_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	for (int fd = STDERR_FILENO + 1; fd <= FD_MAX && ((struct mock_pool *)pool)->count == 3; fd++)
		if (is_pipe_of_the_tool(fd) && write(fd, "x", 1) < 0)
			return -EINVAL;
	return mock_malloc(pool, size, gfp, handle);
}

ZPOOL_DRIVER_DEFINE(stray, "1.0", "writes a byte into every pipe in its fourth malloc", MOCK_POOL_MEMBERS,
		    .create = mock_create, .malloc = stray_malloc, .map = mock_map, .unmap = mock_unmap)

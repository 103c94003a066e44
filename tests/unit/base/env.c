/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "base/env.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

/* When the program is started again as "program report", it prints what it finds. */
static int report(void)
{
	const char *value = zp_secure_getenv("UNIT_ENV");
	dprintf(STDERR_FILENO, "secure=%d value=%s\n", zp_is_secure(), value ? value : "(null)");
	return 0;
}

START_TEST(getenv_returns_the_value_in_an_ordinary_program)
{
	ck_assert_int_eq(setenv("UNIT_ENV", "seen", 1), 0);
	ck_assert_str_eq(zp_secure_getenv("UNIT_ENV"), "seen");
	ck_assert(!zp_is_secure());
}
END_TEST

START_TEST(getenv_of_an_unset_variable_returns_null)
{
	ck_assert_int_eq(unsetenv("UNIT_ENV"), 0);
	ck_assert_ptr_null(zp_secure_getenv("UNIT_ENV"));
}
END_TEST

START_TEST(getenv_of_an_empty_variable_returns_the_empty_text)
{
	ck_assert_int_eq(setenv("UNIT_ENV", "", 1), 0);
	ck_assert_str_eq(zp_secure_getenv("UNIT_ENV"), "");
}
END_TEST

/* A copy of this program with the set-user-ID bit is privileged, even if its effective user has fewer rights. */
START_TEST(environment_is_ignored_in_a_set_user_id_program)
{
	char text[128] = "", self[PATH_MAX] = "";
	struct statvfs fs;
	int ends[2], status;

	if (geteuid() != 0 || !unit_may_fork())
		return;
	scratch_make();
	if (statvfs(scratch_path(""), &fs) != 0 || (fs.f_flag & ST_NOSUID)) {
		scratch_remove();
		return;
	}
	ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
	scratch_copy("program", self);
	ck_assert_int_eq(chmod(scratch_path(""), 0755), 0);
	ck_assert_int_eq(chown(scratch_path("program"), 65534, (gid_t)-1), 0);
	ck_assert_int_eq(chmod(scratch_path("program"), 04755), 0);
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		(void)setenv("UNIT_ENV", "planted", 1);
		execl(scratch_path("program"), "program", "report", (char *)NULL);
		_exit(9);
	}
	close(ends[1]);
	ck_assert_int_ge(read(ends[0], text, sizeof(text) - 1), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	scratch_remove();
	/* A coverage build prints an error after this text, because this user cannot write to its files. */
	ck_assert_int_eq(strncmp(text, "secure=1 value=(null)\n", 22), 0);
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = {
		getenv_returns_the_value_in_an_ordinary_program,
		getenv_of_an_unset_variable_returns_null,
		getenv_of_an_empty_variable_returns_the_empty_text,
		environment_is_ignored_in_a_set_user_id_program,
	};
	(void)argv;
	return argc > 1 ? report() : UNIT_RUN("base/env", tests);
}

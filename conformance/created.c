/* SPDX-License-Identifier: MIT
 *
 * created.c - the files that a process creates and leaves behind
 *
 * Other processes create files in the same directories, so that comparing listings shows little.  Instead the kernel
 * stops this process at each system call that may create a file; a signal handler records the name, and repeats the
 * call with a mark that lets it pass.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "created.h"

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))

#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* The mark is in the sixth argument, which none of these calls has. */
#define MARK 0x5a6b7c8dL

enum { CREATED_MAX = 1000 };

static struct {
	pthread_mutex_t lock;
	char paths[CREATED_MAX][PATH_MAX];
	size_t count;
} created = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The indexes of the arguments that are the directory (-1: none) and the new name. */
static const struct {
	int number;
	int directory, name;
} calls[] = {
	{ SYS_openat, 0, 1 },   { SYS_mkdirat, 0, 1 },   { SYS_mknodat, 0, 1 }, { SYS_symlinkat, 1, 2 },
	{ SYS_linkat, 2, 3 },   { SYS_renameat2, 2, 3 },
#ifdef SYS_renameat
	{ SYS_renameat, 2, 3 },
#endif
#ifdef __x86_64__
	{ SYS_open, -1, 0 },    { SYS_creat, -1, 0 },    { SYS_mkdir, -1, 0 },  { SYS_mknod, -1, 0 },
	{ SYS_symlink, -1, 1 }, { SYS_link, -1, 1 },     { SYS_rename, -1, 1 },
#endif
};

/* The registers with the arguments of the call and its result. */
static void get_arguments(ucontext_t *context, long arguments[5], long **result)
{
#ifdef __x86_64__
	static const int registers[] = { REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8 };

	for (int i = 0; i < 5; i++)
		arguments[i] = (long)context->uc_mcontext.gregs[registers[i]];
	*result = (long *)&context->uc_mcontext.gregs[REG_RAX];
#else
	for (int i = 0; i < 5; i++)
		arguments[i] = (long)context->uc_mcontext.regs[i];
	*result = (long *)&context->uc_mcontext.regs[0];
#endif
}

static void note(int directory, const char *name)
{
	char base[64], *path;
	ssize_t length = 0;

	pthread_mutex_lock(&created.lock);
	if (created.count < CREATED_MAX) {
		path = created.paths[created.count++];
		if (name[0] != '/') {
			snprintf(base, sizeof(base), "/proc/self/fd/%d", directory);
			length = readlink(directory == AT_FDCWD ? "/proc/self/cwd" : base, path, PATH_MAX - 2);
			length = length < 0 ? 0 : length;
			path[length++] = '/';
		}
		snprintf(path + length, PATH_MAX - (size_t)length, "%s", name);
	}
	pthread_mutex_unlock(&created.lock);
}

/* A file with a fixed name may be left from an earlier case, and is opened with O_CREAT all the same. */
static bool may_create(int call, const long arguments[5])
{
#ifdef __x86_64__
	if (call == SYS_creat || (call == SYS_open && (arguments[1] & O_CREAT)))
		return true;
#endif
	return call == SYS_openat && (arguments[2] & O_CREAT);
}

/* At exit, and when it is unloaded, a driver that was built to measure coverage writes its counters. */
static bool is_of_coverage(const char *name)
{
	size_t length = strlen(name);

	return length > 5 && strcmp(name + length - 5, ".gcda") == 0;
}

static void on_call(int number, siginfo_t *info, void *context)
{
	int saved = errno, directory = AT_FDCWD;
	const char *name = NULL;
	long arguments[5], *result, done;
	struct stat status;
	bool is_new;

	(void)number;
	get_arguments(context, arguments, &result);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].number != info->si_syscall)
			continue;
		directory = calls[i].directory < 0 ? AT_FDCWD : (int)arguments[calls[i].directory];
		name = (const char *)(uintptr_t)arguments[calls[i].name];
	}
	is_new = name && !is_of_coverage(name) &&
		 (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
		  (S_ISREG(status.st_mode) && may_create(info->si_syscall, arguments)));
	done = syscall(info->si_syscall, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], MARK);
	*result = done < 0 ? -errno : done;
	if (done >= 0 && is_new && fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
		note(directory, name);
	errno = saved;
}

void ct_created_watch(void)
{
	enum { CALLS = sizeof(calls) / sizeof(calls[0]) };
	struct sock_filter code[CALLS + 6];
	struct sock_fprog program = { 0, code };
	struct sigaction action;
	unsigned short used = 0;

	/* Calls with the mark may pass. */
	code[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5]));
	code[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, CALLS + 1, 0);
	code[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned int i = 0; i < CALLS; i++)
		code[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)calls[i].number,
							    (unsigned char)(CALLS - i), 0);
	code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
	program.len = used;
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_call;
	action.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGSYS, &action, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		ct_skip("this system does not let a process filter its system calls");
}

/* The spec may name the file in a parameter, such as file=NAME or file=/tmp/NAME. */
static bool is_named_in_spec(const char *path)
{
	const char *name = strrchr(path, '/') + 1, *found = ct.spec;

	while ((found = strstr(found, name)) != NULL) {
		if (found > ct.spec && (found[-1] == '=' || found[-1] == '/'))
			return true;
		found++;
	}
	return false;
}

void ct_created_expect_none(void)
{
	struct stat status;

	for (size_t i = 0; i < created.count; i++)
		CT_CHECK(is_named_in_spec(created.paths[i]) || lstat(created.paths[i], &status) != 0,
			 "the driver created %s, which still exists", created.paths[i]);
}

#else

void ct_created_watch(void)
{
	ct_skip("on this system the test suite cannot find out which files a process creates");
}

void ct_created_expect_none(void)
{
}

#endif

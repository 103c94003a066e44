/* SPDX-License-Identifier: MIT
 *
 * odd.h - what a driver must not do to the process that loads it. The environment variable ODD has the moment and the
 * action, for example "load_umask". broken.c includes this file after the driver and before the driver's structure.
 */
#include <dlfcn.h>
#include <limits.h>
#include <locale.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static void odd_handler(int number)
{
	(void)number;
}

static void *odd_wait(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void odd_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, odd_wait, NULL);
}

static void odd_fork(void)
{
	if (fork() == 0)
		odd_wait(NULL);
}

/* This process has its own session, and its parent does not wait for it. */
static void odd_daemon(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() == 0)
			odd_wait(NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void odd_fork_returns(void)
{
	(void)!fork();
}

static void odd_helper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void odd_print(void)
{
	printf("a text without a newline");
}

static void odd_warn(void)
{
	fprintf(stderr, "a warning\n");
}

static void odd_signal(void)
{
	signal(SIGUSR2, odd_handler);
}

static void odd_ignore(void)
{
	signal(SIGPIPE, SIG_IGN);
}

static void odd_mask(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void odd_stack(void)
{
	static char bytes[65536];
	stack_t stack = { .ss_sp = bytes, .ss_size = sizeof(bytes) };

	sigaltstack(&stack, NULL);
}

static void odd_setenv(void)
{
	setenv("LD_PRELOAD", "odd.so", 1);
}

static void odd_unsetenv(void)
{
	unsetenv("PATH");
}

static void odd_umask(void)
{
	umask(0);
}

static void odd_chdir(void)
{
	(void)!chdir("/proc");
}

static void odd_rlimit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur--;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void odd_locale(void)
{
	setlocale(LC_ALL, "C.UTF-8");
}

static void odd_alarm(void)
{
	alarm(1000);
}

static void odd_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	timer_create(CLOCK_MONOTONIC, &event, &timer);
}

static void odd_open(void)
{
	(void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void odd_close(void)
{
	close(STDIN_FILENO);
}

static void odd_nonblock(void)
{
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
}

static void odd_name(void)
{
	prctl(PR_SET_NAME, "odd");
}

static void odd_nice(void)
{
	setpriority(PRIO_PROCESS, 0, 5);
}

static void odd_map(void)
{
	mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void odd_malloc(void)
{
	static void *volatile block;

	block = malloc(500);
}

static void odd_key(void)
{
	pthread_key_t key;

	pthread_key_create(&key, NULL);
}

static void odd_library(void)
{
	dlopen("libz.so.1", RTLD_NOW);
}

static void odd_srand(void)
{
	srand(1);
}

static void odd_cancel(void)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

/* Sets the floating-point mode that code linked with -ffast-math sets. */
static void odd_float(void)
{
#ifdef __SSE__
	__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#endif
}

static void odd_buffer(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
}

static void odd_lock(void)
{
	mlockall(MCL_FUTURE);
}

static void odd_reaper(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static void odd_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void odd_segment(void)
{
	int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	/* The segment disappears when the process ends. */
	shmat(segment, NULL, 0);
	shmctl(segment, IPC_RMID, NULL);
}

static void odd_file(void)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s/odd", getenv("TMPDIR"));
	(void)!close(open(name, O_RDWR | O_CREAT, 0600));
}

static void odd_temporary(void)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s/odd-XXXXXX", getenv("TMPDIR"));
	(void)!close(mkstemp(name));
}

static void odd_directory(void)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s/odd-XXXXXX", getenv("TMPDIR"));
	(void)!mkdtemp(name);
}

static void odd_exit(void)
{
	_exit(0);
}

static void odd_late(void)
{
	printf("bye\n");
}

static void odd_atexit(void)
{
	atexit(odd_late);
}

static void odd_at(const char *moment)
{
	static const struct {
		const char *name;
		void (*act)(void);
	} acts[] = {
		{ "thread", odd_thread },
		{ "fork", odd_fork },
		{ "daemon", odd_daemon },
		{ "returns", odd_fork_returns },
		{ "helper", odd_helper },
		{ "print", odd_print },
		{ "warn", odd_warn },
		{ "signal", odd_signal },
		{ "ignore", odd_ignore },
		{ "mask", odd_mask },
		{ "stack", odd_stack },
		{ "setenv", odd_setenv },
		{ "unsetenv", odd_unsetenv },
		{ "umask", odd_umask },
		{ "chdir", odd_chdir },
		{ "rlimit", odd_rlimit },
		{ "locale", odd_locale },
		{ "alarm", odd_alarm },
		{ "timer", odd_timer },
		{ "open", odd_open },
		{ "close", odd_close },
		{ "nonblock", odd_nonblock },
		{ "name", odd_name },
		{ "nice", odd_nice },
		{ "map", odd_map },
		{ "malloc", odd_malloc },
		{ "key", odd_key },
		{ "library", odd_library },
		{ "exit", odd_exit },
		{ "atexit", odd_atexit },
		{ "srand", odd_srand },
		{ "cancel", odd_cancel },
		{ "float", odd_float },
		{ "buffer", odd_buffer },
		{ "lock", odd_lock },
		{ "reaper", odd_reaper },
		{ "dumpable", odd_dumpable },
		{ "segment", odd_segment },
		{ "file", odd_file },
		{ "temporary", odd_temporary },
		{ "directory", odd_directory },
	};
	const char *odd = getenv("ODD");
	size_t length = strlen(moment);

	if (!odd || strncmp(odd, moment, length) != 0)
		return;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(odd + length, acts[i].name) == 0)
			acts[i].act();
}

static __attribute__((constructor)) void odd_load(void)
{
	odd_at("load_");
}

static __attribute__((destructor)) void odd_unload(void)
{
	odd_at("unload_");
}

static int odd_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	odd_at("create_");
	return slabs_create(args, out);
}
#define BROKEN_CREATE odd_create

static void odd_destroy(void *pool)
{
	odd_at("destroy_");
	slabs_destroy(pool);
}
#define BROKEN_DESTROY odd_destroy

/* The calls on a pool do the action once in a process. */
static void odd_once(const char *moment)
{
	static atomic_bool done;
	const char *odd = getenv("ODD");

	if (odd && strncmp(odd, moment, strlen(moment)) == 0 && !atomic_exchange(&done, true))
		odd_at(moment);
}

static int odd_pool_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	odd_once("malloc_");
	if (((struct slabs_pool *)pool)->objects >= 1000)
		odd_once("many_");
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC odd_pool_malloc

static int odd_free(void *pool, unsigned long handle)
{
	odd_once("free_");
	return slabs_free(pool, handle);
}
#define BROKEN_FREE odd_free

static void *odd_pool_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	odd_once("map_");
	return slabs_map(pool, handle, mode);
}
#define BROKEN_MAP odd_pool_map

static int odd_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	odd_once("shrink_");
	return slabs_shrink(pool, pages, reclaimed);
}
#define BROKEN_SHRINK odd_shrink

static int odd_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	odd_once("compact_");
	return slabs_compact(pool, budget, released);
}
#define BROKEN_COMPACT odd_compact

static int odd_trim(void *pool, uint64_t *released)
{
	odd_once("trim_");
	return slabs_trim(pool, released);
}
#define BROKEN_TRIM odd_trim

static int odd_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	odd_once("stats_");
	return slabs_stats(pool, stats, stats_size);
}
#define BROKEN_STATS odd_stats

static int odd_set_limit(void *pool, uint64_t limit_bytes)
{
	odd_once("limit_");
	return slabs_set_limit(pool, limit_bytes);
}
#define BROKEN_SET_LIMIT odd_set_limit

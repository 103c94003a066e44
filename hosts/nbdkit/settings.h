/* SPDX-License-Identifier: MIT
 *
 * settings.h - the parameters of the command line
 */
#ifndef HOSTS_NBDKIT_SETTINGS_H
#define HOSTS_NBDKIT_SETTINGS_H 1

#include <stdbool.h>
#include <stdint.h>

struct settings {
	uint64_t size_bytes; /* 0 if not given; the disk is then as large as the backing */
	uint64_t unit_bytes;
	uint64_t limit_bytes; /* 0 if there is no limit */
	const char *driver;   /* the spec of the pool */
	const char *compressor;
	void *dictionary; /* of zstd, or NULL if none is given */
	uint64_t dictionary_bytes;
	uint64_t train_units;     /* after how many units a dictionary is trained; 0 if none is trained */
	char *backing;            /* an absolute path or a URI, or NULL if there is none */
	bool create;              /* allows the plugin to create or extend the file */
	unsigned int connections; /* the number of connections to a server; 0 if not given */
	char *stats_path;         /* an absolute path, or NULL for standard error */
};

#define SETTINGS_HELP                                                                                                  \
	"[size=]SIZE       The size of the disk (required unless there is a backing).\n"                               \
	"driver=SPEC       The pool: a driver of libzpool, with parameters and filters\n"                              \
	"                  (default: zsmalloc).\n"                                                                     \
	"compressor=NAME   lz4 (default), lz4hc[:LEVEL], zstd[:LEVEL] or none.\n"                                      \
	"dictionary=FILE   A dictionary for zstd.\n"                                                                   \
	"train=UNITS       Train a dictionary for zstd when this many units have been\n"                               \
	"                  written (default: train none).\n"                                                           \
	"unit=BYTES        What is compressed at a time: a power of two from 512 to 64K\n"                             \
	"                  (default: 4096).\n"                                                                         \
	"limit=SIZE        The memory that the disk may take, with everything that it\n"                               \
	"                  needs (default: no limit).\n"                                                               \
	"backing=FILE|URI  A file, a block device or an NBD server, in front of which the disk\n"                      \
	"                  is a write-back cache.\n"                                                                   \
	"create=BOOL       Create the backing's file, or extend it to SIZE (default: no).\n"                           \
	"connections=N     To the NBD server (default: 4).\n"                                                          \
	"stats=FILE        Append the statistics to FILE at exit and on SIGUSR1."

/* Sets the defaults. */
void settings_init(struct settings *settings);
void settings_fini(struct settings *settings);

/*
 * settings_set sets one parameter, settings_check checks all of them together.  Both return 0, or -1 after they
 * reported the error.
 */
int settings_set(struct settings *settings, const char *key, const char *value);
int settings_check(const struct settings *settings);

#endif

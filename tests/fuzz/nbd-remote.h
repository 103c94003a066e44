/* SPDX-License-Identifier: MIT
 *
 * nbd-remote.h - an NBD server in a thread of the fuzz target, whose replies may be errors or missing
 */
#ifndef TESTS_FUZZ_NBD_REMOTE_H
#define TESTS_FUZZ_NBD_REMOTE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How the server behaves from now on, to be set while there is no connection.
 *
 * image, bytes   what it serves
 * fail_every     every so many requests fail; 0: none
 * drops          such a request ends the connection, instead of getting an error; every other one is done before that
 * plain          it offers neither zeroing nor extents
 */
struct nbd_remote {
	unsigned char *image;
	size_t bytes;
	unsigned int fail_every;
	bool drops, plain;
};
extern struct nbd_remote nbd_remote;

/* Starts the server at the first call.  Returns its URI. */
const char *nbd_remote_uri(void);

#endif

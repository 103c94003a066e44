/* SPDX-License-Identifier: MIT
 *
 * nbd-remote.c - the server's side of the NBD protocol: the newstyle handshake, and structured replies
 *
 * One connection is served at a time.  The extents that the server reports begin and end at any byte.
 */
#include "config.h"

#include "fuzz.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "nbd-remote.h"

enum { OPTION_ABORT = 2, OPTION_INFO = 6, OPTION_GO = 7, OPTION_STRUCTURED = 8, OPTION_SET_CONTEXT = 10 };
enum { REPLY_ACK = 1, REPLY_INFO = 3, REPLY_CONTEXT = 4 };
enum { CAN_ALL = 1, CAN_FLUSH = 4, CAN_TRIM = 32, CAN_ZERO = 64 };
enum { READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, ZERO, EXTENTS };
enum { CHUNK_NONE = 0, CHUNK_DATA = 1, CHUNK_EXTENTS = 5, CHUNK_ERROR = 0x8001, CHUNK_DONE = 1 };
enum { CONTEXT_ID = 7, EXTENT_ZERO = 3, OPTION_BYTES_MAX = 4096 };

#define REPLY_UNSUPPORTED UINT32_C(0x80000001)
#define OPTION_MAGIC UINT64_C(0x49484156454f5054)
#define OPTION_REPLY_MAGIC UINT64_C(0x3e889045565a9)
#define REQUEST_MAGIC UINT32_C(0x25609513)
#define CHUNK_MAGIC UINT32_C(0x668e33ef)

struct nbd_remote nbd_remote;

static int listener;
static unsigned int requests;

/* ---- bytes ---- */

/* Without bytes to wait for, recv() would wait for the next ones. */
static bool receive(int fd, void *to, size_t bytes)
{
	return !bytes || recv(fd, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static bool transmit(int fd, const void *from, size_t bytes)
{
	const unsigned char *at = from;

	for (ssize_t sent; bytes; at += sent, bytes -= (size_t)sent) {
		sent = send(fd, at, bytes, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
	}
	return true;
}

/* ---- handshake ---- */

static bool reply(int fd, uint32_t option, uint32_t type, const void *data, uint32_t bytes)
{
	struct __attribute__((packed)) {
		uint64_t magic;
		uint32_t option, type, bytes;
	} head = { htobe64(OPTION_REPLY_MAGIC), htobe32(option), htobe32(type), htobe32(bytes) };

	return transmit(fd, &head, sizeof(head)) && transmit(fd, data, bytes);
}

static bool reply_info(int fd, uint32_t option)
{
	struct __attribute__((packed)) {
		uint16_t type;
		uint64_t bytes;
		uint16_t flags;
	} info = { 0, htobe64(nbd_remote.bytes),
		   htobe16(CAN_ALL | CAN_FLUSH | CAN_TRIM | (nbd_remote.plain ? 0 : CAN_ZERO)) };

	return reply(fd, option, REPLY_INFO, &info, sizeof(info)) && reply(fd, option, REPLY_ACK, NULL, 0);
}

static bool reply_context(int fd)
{
	static const char name[] = "base:allocation";
	struct __attribute__((packed)) {
		uint32_t id;
		char name[sizeof(name) - 1];
	} context = { .id = htobe32(CONTEXT_ID) };

	memcpy(context.name, name, sizeof(context.name));
	return (nbd_remote.plain || reply(fd, OPTION_SET_CONTEXT, REPLY_CONTEXT, &context, sizeof(context))) &&
	       reply(fd, OPTION_SET_CONTEXT, REPLY_ACK, NULL, 0);
}

/* Returns true when the client wants to send requests. */
static bool shake_hands(int fd)
{
	static const unsigned char greeting[] = { 'N', 'B', 'D', 'M', 'A', 'G', 'I', 'C', 'I',
						  'H', 'A', 'V', 'E', 'O', 'P', 'T', 0,   3 };
	unsigned char data[OPTION_BYTES_MAX];
	uint32_t flags, option;
	struct __attribute__((packed)) {
		uint64_t magic;
		uint32_t option, bytes;
	} head;
	bool good = transmit(fd, greeting, sizeof(greeting)) && receive(fd, &flags, sizeof(flags));

	while (good && receive(fd, &head, sizeof(head))) {
		option = be32toh(head.option);
		if (be64toh(head.magic) != OPTION_MAGIC || be32toh(head.bytes) > sizeof(data) ||
		    !receive(fd, data, be32toh(head.bytes)) || option == OPTION_ABORT)
			return false;
		if (option == OPTION_GO || option == OPTION_INFO)
			good = reply_info(fd, option);
		else if (option == OPTION_STRUCTURED)
			good = reply(fd, option, REPLY_ACK, NULL, 0);
		else if (option == OPTION_SET_CONTEXT)
			good = reply_context(fd);
		else
			good = reply(fd, option, REPLY_UNSUPPORTED, NULL, 0);
		if (option == OPTION_GO)
			return good;
	}
	return false;
}

/* ---- requests ---- */

struct __attribute__((packed)) request {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t bytes;
};

static bool send_chunk(int fd, const struct request *request, unsigned int type, const void *head, uint32_t head_bytes,
		       const void *data, uint32_t bytes)
{
	struct __attribute__((packed)) {
		uint32_t magic;
		uint16_t flags, type;
		uint64_t cookie;
		uint32_t bytes;
	} chunk = { htobe32(CHUNK_MAGIC), htobe16(CHUNK_DONE), htobe16((uint16_t)type), request->cookie,
		    htobe32(head_bytes + bytes) };

	return transmit(fd, &chunk, sizeof(chunk)) && transmit(fd, head, head_bytes) && transmit(fd, data, bytes);
}

static bool send_error(int fd, const struct request *request, uint32_t error)
{
	struct __attribute__((packed)) {
		uint32_t error;
		uint16_t text_bytes;
	} head = { htobe32(error), 0 };

	return send_chunk(fd, request, CHUNK_ERROR, &head, sizeof(head), NULL, 0);
}

static bool send_extent(int fd, const struct request *request, const unsigned char *at, uint32_t bytes)
{
	struct __attribute__((packed)) {
		uint32_t id, bytes, type;
	} head = { htobe32(CONTEXT_ID), 0, htobe32(*at ? 0 : EXTENT_ZERO) };
	uint32_t length = 1;

	while (length < bytes && !at[length] == !*at)
		length++;
	head.bytes = htobe32(length);
	return send_chunk(fd, request, CHUNK_EXTENTS, &head, sizeof(head), NULL, 0);
}

static bool do_request(int fd, const struct request *request, const unsigned char *data)
{
	unsigned char *at = nbd_remote.image + be64toh(request->offset);
	uint32_t bytes = be32toh(request->bytes);

	switch (be16toh(request->type)) {
	case READ:
		return send_chunk(fd, request, CHUNK_DATA, &request->offset, sizeof(request->offset), at, bytes);
	case EXTENTS:
		return send_extent(fd, request, at, bytes);
	case WRITE:
		memcpy(at, data, bytes);
		break;
	case ZERO:
		memset(at, 0, bytes);
		break;
	default:
		break;
	}
	return send_chunk(fd, request, CHUNK_NONE, NULL, 0, NULL, 0);
}

/* Returns false when the connection is to be closed. */
static bool serve_request(int fd, const struct request *request, const unsigned char *data)
{
	bool fails = nbd_remote.fail_every && ++requests % nbd_remote.fail_every == 0;

	if (!fails)
		return do_request(fd, request, data);
	if (!nbd_remote.drops)
		return send_error(fd, request, requests & 1 ? EIO : ENOSPC);
	if (requests & 1 && be16toh(request->type) == WRITE)
		memcpy(nbd_remote.image + be64toh(request->offset), data, be32toh(request->bytes));
	return false;
}

static void serve_requests(int fd)
{
	unsigned char *data = malloc(nbd_remote.bytes);
	struct request request;
	bool good = data;

	while (good && receive(fd, &request, sizeof(request)) && be16toh(request.type) != DISCONNECT) {
		uint64_t offset = be64toh(request.offset);
		uint32_t bytes = be32toh(request.bytes);

		fuzz_assert(be32toh(request.magic) == REQUEST_MAGIC);
		fuzz_assert(offset <= nbd_remote.bytes && bytes <= nbd_remote.bytes - offset);
		fuzz_assert(bytes || be16toh(request.type) == FLUSH);
		good = (be16toh(request.type) != WRITE || receive(fd, data, bytes)) &&
		       serve_request(fd, &request, data);
	}
	free(data);
}

static void *run_server(void *unused)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (shake_hands(fd))
			serve_requests(fd);
		close(fd);
	}
	return unused;
}

/* The socket has no name when the server runs, so that nothing is left if the program aborts. */
const char *nbd_remote_uri(void)
{
	static char uri[64];
	char directory[] = "/tmp/fuzz-nbd.XXXXXX";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pthread_t thread;
	int fd;

	if (*uri)
		return uri;
	fuzz_assert(mkdtemp(directory));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_assert(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	fd = open(address.sun_path, O_PATH | O_CLOEXEC);
	fuzz_assert(fd >= 0 && unlink(address.sun_path) == 0 && rmdir(directory) == 0 && listen(listener, 8) == 0);
	(void)snprintf(uri, sizeof(uri), "nbd+unix:///?socket=/proc/self/fd/%d", fd);
	fuzz_assert(pthread_create(&thread, NULL, run_server, NULL) == 0 && pthread_detach(thread) == 0);
	return uri;
}

/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "object.h"
#include "replay-contents.h"

static void generate(struct replay_contents *contents, const struct replay_object *object)
{
	uint64_t state = ((uint64_t)(object - contents->objects) << 16 | object->version) + 1;

	for (uint32_t at = 0; at < object->size; at += sizeof(state)) {
		uint32_t rest = object->size - at;

		state += UINT64_C(0x9e3779b97f4a7c15);
		uint64_t word = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		memcpy(contents->expected + at, &word, rest < sizeof(word) ? rest : sizeof(word));
	}
}

void replay_compare(struct replay_contents *contents, const struct replay_object *object, const void *found,
		    size_t offset, size_t length)
{
	if (object->version)
		generate(contents, object);
	else if (object->zero)
		memset(contents->expected, 0, object->size);
	else
		return;
	contents->result->compared++;
	if (memcmp(contents->expected + offset, found, length) != 0)
		contents->result->differing++;
}

const uint8_t *replay_renew(struct replay_contents *contents, struct replay_object *object)
{
	object->version = object->version == UINT16_MAX ? 1 : (uint16_t)(object->version + 1);
	object->zero = false;
	generate(contents, object);
	return contents->expected;
}

int replay_compare_stored(struct replay_contents *contents, const struct replay_object *object)
{
	int error = object_get(contents->pool, object->handle, contents->found, object->size);

	if (!error)
		replay_compare(contents, object, contents->found, 0, object->size);
	return error;
}

int replay_rewrite_stored(struct replay_contents *contents, struct replay_object *object)
{
	return object_put(contents->pool, object->handle, replay_renew(contents, object), object->size);
}

int64_t replay_write(struct replay_contents *contents, struct replay_object *object, size_t offset, size_t length)
{
	struct replay_object before = *object;
	int64_t done;

	if (!object->version && length == object->size)
		replay_renew(contents, object);
	else
		generate(contents, object);
	object->zero = false;
	done = zpool_obj_write(contents->pool, object->handle, contents->expected + offset, length, offset);
	if (done < 0)
		*object = before;
	return done;
}

int64_t replay_read(struct replay_contents *contents, const struct replay_object *object, size_t offset, size_t length)
{
	int64_t done = zpool_obj_read(contents->pool, object->handle, contents->found, length, offset);

	if (done == (int64_t)length)
		replay_compare(contents, object, contents->found, offset, length);
	return done;
}

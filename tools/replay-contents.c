/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "object.h"
#include "replay-contents.h"

/*
 * The limit is high enough for a program that writes an object line by line, and low enough that a search through the
 * list stays short.
 */
#define PIECES_PER_OBJECT_MAX 1024

/* ------------------------------------------------------------------------------------------------------------------
 * Bytes
 */

/* Generates the bytes from `from` to `to` of this version of an object. */
static void generate(const struct replay_contents *contents, const struct replay_object *object, uint16_t version,
		     uint32_t from, uint32_t to, uint8_t *out)
{
	const uint64_t seed = ((uint64_t)(object - contents->objects) << 16 | version) + 1;

	while (from < to) {
		uint32_t skip = from % sizeof(uint64_t), length = (uint32_t)sizeof(uint64_t) - skip;
		uint64_t state = seed + (from / sizeof(state) + 1) * UINT64_C(0x9e3779b97f4a7c15);
		uint64_t word = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);

		if (length > to - from)
			length = to - from;
		memcpy(out, (const uint8_t *)&word + skip, length);
		out += length;
		from += length;
	}
}

static uint16_t next_version(const struct replay_object *object)
{
	return object->version == UINT16_MAX ? 1 : (uint16_t)(object->version + 1);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Pieces
 */

static uint32_t take_piece(struct replay_contents *contents)
{
	uint32_t number = contents->free_piece;

	if (number)
		contents->free_piece = contents->pieces[number].next;
	else
		number = (uint32_t)++contents->piece_count;
	return number;
}

static void give_piece(struct replay_contents *contents, uint32_t number)
{
	contents->pieces[number].next = contents->free_piece;
	contents->free_piece = number;
}

void replay_forget(struct replay_contents *contents, struct replay_object *object)
{
	while (object->pieces) {
		uint32_t number = object->pieces;

		object->pieces = contents->pieces[number].next;
		give_piece(contents, number);
	}
}

/*
 * Cuts the range from `from` to `to`, which is about to be written, out of the piece at *link. Returns the link at
 * which the search continues.
 */
static uint32_t *cut_piece(struct replay_contents *contents, uint32_t *link, uint32_t from, uint32_t to)
{
	struct replay_piece *piece = &contents->pieces[*link];
	const uint32_t end = piece->to;

	if (piece->from >= from && end <= to) {
		uint32_t number = *link;

		*link = piece->next;
		give_piece(contents, number);
		return link;
	}
	if (piece->from >= from) {
		piece->from = to;
		return &piece->next;
	}
	piece->to = from;
	if (end > to) {
		uint32_t rest = take_piece(contents);

		contents->pieces[rest] = (struct replay_piece){ to, end, piece->next, piece->version };
		piece->next = rest;
	}
	return &piece->next;
}

/* Records that the bytes from `from` to `to` were written with this version. */
static void add_piece(struct replay_contents *contents, struct replay_object *object, uint32_t from, uint32_t to,
		      uint16_t version)
{
	struct replay_piece *pieces = contents->pieces;
	uint32_t *link = &object->pieces;
	unsigned int count = 0;
	uint32_t number;

	for (; *link && pieces[*link].to <= from; count++)
		link = &pieces[*link].next;
	if (count >= PIECES_PER_OBJECT_MAX || contents->piece_count + REPLAY_PIECES_PER_WRITE >= contents->piece_room) {
		/*
		 * There are too many pieces to track: the contents count as unknown until the object is written as a
		 * whole.
		 */
		replay_forget(contents, object);
		object->base = 0;
		object->zero = false;
		return;
	}
	while (*link && pieces[*link].from < to) {
		uint32_t *behind = cut_piece(contents, link, from, to);

		/* The part of the piece in front of the write stays in the list. */
		if (behind != link && pieces[*link].to <= from)
			link = behind;
		else if (behind != link)
			break;
	}
	number = take_piece(contents);
	pieces[number] = (struct replay_piece){ from, to, *link, version };
	*link = number;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Objects
 */

bool replay_has_contents(const struct replay_object *object)
{
	return object->base || object->zero || object->pieces;
}

/*
 * Computes the expected bytes. Unknown bytes are taken from `found`, so that they compare as equal. Returns false if
 * nothing is known.
 */
static bool expect(struct replay_contents *contents, const struct replay_object *object, const uint8_t *found,
		   uint32_t offset, uint32_t end)
{
	bool known = object->base || object->zero;
	uint8_t *expected = contents->expected;

	if (object->base)
		generate(contents, object, object->base, offset, end, expected);
	else if (object->zero)
		memset(expected, 0, end - offset);
	else
		memcpy(expected, found, end - offset);
	for (uint32_t number = object->pieces; number;) {
		const struct replay_piece *piece = &contents->pieces[number];
		uint32_t from = piece->from > offset ? piece->from : offset, to = piece->to < end ? piece->to : end;

		number = piece->next;
		if (from >= to)
			continue;
		generate(contents, object, piece->version, from, to, expected + (from - offset));
		known = true;
	}
	return known;
}

void replay_compare(struct replay_contents *contents, struct replay_object *object, const void *found, size_t offset,
		    size_t length)
{
	if (!expect(contents, object, found, (uint32_t)offset, (uint32_t)(offset + length)))
		return;
	object->compared = true;
	contents->result->compared++;
	if (memcmp(contents->expected, found, length) != 0)
		contents->result->differing++;
}

const uint8_t *replay_renew(struct replay_contents *contents, struct replay_object *object)
{
	replay_forget(contents, object);
	object->version = object->base = next_version(object);
	object->zero = false;
	generate(contents, object, object->base, 0, object->size, contents->expected);
	return contents->expected;
}

int replay_compare_stored(struct replay_contents *contents, struct replay_object *object)
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
	const uint16_t version = next_version(object);
	const uint32_t from = (uint32_t)offset, to = (uint32_t)(offset + length);
	int64_t done;

	generate(contents, object, version, from, to, contents->expected);
	done = zpool_obj_write(contents->pool, object->handle, contents->expected, length, offset);
	if (done < 0)
		return done;
	object->version = version;
	if (from || to < object->size) {
		add_piece(contents, object, from, to, version);
		return done;
	}
	replay_forget(contents, object);
	object->base = version;
	object->zero = false;
	return done;
}

int64_t replay_read(struct replay_contents *contents, struct replay_object *object, size_t offset, size_t length)
{
	int64_t done = zpool_obj_read(contents->pool, object->handle, contents->found, length, offset);

	if (done == (int64_t)length)
		replay_compare(contents, object, contents->found, offset, length);
	return done;
}

/* SPDX-License-Identifier: MIT
 *
 * actors.c - threads that start and end, are cancelled, and receive signals
 */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "races.h"

enum { STACK_BYTES = 512 * 1024, STEPS_MAX = 120 };

_Thread_local struct actor *self;

static unsigned int serials;
static unsigned int role_turn;

/* Signals interrupt system calls, and threads at any point of a call. */
static void on_signal(int number)
{
	int saved_errno = errno;

	(void)number;
	tally(TALLY_SIGNALS);
	(void)sched_yield();
	errno = saved_errno;
}

static const struct role *some_role(struct ct_rng *rng)
{
	uint64_t sum = 0, at;

	for (unsigned int i = 0; i < role_count; i++) {
		if (races.only_role && strcmp(roles[i].name, races.only_role) == 0)
			return &roles[i];
		sum += roles[i].share;
	}
	/* The first actors get one role after the other, so that even a short run has every role. */
	if (role_turn < role_count)
		return &roles[role_turn++];
	at = ct_rng_below(rng, sum);
	for (unsigned int i = 0;; at -= roles[i++].share)
		if (at < roles[i].share)
			return &roles[i];
}

static void make_step(struct actor *actor, const struct role *role)
{
	struct place *place = &races.places[ct_rng_below(&actor->rng, races.place_count)];

	if (!role->uses_pool) {
		role->step(NULL, &actor->rng);
		return;
	}
	(void)pthread_rwlock_rdlock(&place->use);
	atomic_store_explicit(&actor->place, place, memory_order_relaxed);
	if (place->pool)
		role->step(place, &actor->rng);
	atomic_store_explicit(&actor->place, NULL, memory_order_relaxed);
	(void)pthread_rwlock_unlock(&place->use);
}

/* A cancelled thread runs this.  It must not have been inside a call. */
static void on_cancel(void *actor_)
{
	struct actor *actor = actor_;

	races_check(atomic_load(&actor->may_be_cancelled), "the thread was cancelled inside the library");
	races_check(atomic_load(&actor->calls_deep) == 0, "the thread was cancelled inside a call");
	tally(TALLY_CANCELLED);
	atomic_store(&actor->ended, true);
}

static void live(struct actor *actor)
{
	const struct role *role = roles;

	while (strcmp(role->name, actor->role) != 0)
		role++;
	for (uint64_t steps = 1 + ct_rng_below(&actor->rng, STEPS_MAX); steps > 0; steps--) {
		if (atomic_load_explicit(&races.stopping, memory_order_relaxed))
			break;
		atomic_store(&actor->may_be_cancelled, true);
		pthread_testcancel();
		atomic_store(&actor->may_be_cancelled, false);
		make_step(actor, role);
		atomic_fetch_add_explicit(&actor->steps, 1, memory_order_relaxed);
	}
}

static void *act(void *actor_)
{
	struct actor *actor = actor_;

	self = actor;
	pthread_cleanup_push(on_cancel, actor);
	live(actor);
	pthread_cleanup_pop(0);
	atomic_store(&actor->ended, true);
	return NULL;
}

static void start(unsigned int index)
{
	struct actor *actor = races.actors[index];
	pthread_attr_t attributes;
	int err;

	actor->serial = ++serials;
	actor->rng.state = ct_rng_next(&self->rng);
	actor->role = some_role(&self->rng)->name;
	actor->evict_depth = 0;
	atomic_store(&actor->call, NULL);
	atomic_store(&actor->calls_deep, 0);
	atomic_store(&actor->place, NULL);
	atomic_store(&actor->may_be_cancelled, false);
	atomic_store(&actor->ended, false);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	err = pthread_create(&actor->thread, &attributes, act, actor);
	races_check(err == 0, "pthread_create: %s", strerror(err));
	(void)pthread_attr_destroy(&attributes);
	tally(TALLY_THREADS);
}

void actors_start(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	(void)sigaction(SIGUSR1, &action, NULL);
	for (unsigned int i = 0; i < races.actor_count; i++) {
		races.actors[i] = calloc(1, sizeof(*races.actors[i]));
		races_check(races.actors[i], "no memory");
		start(i);
	}
}

void actors_update(struct ct_rng *rng)
{
	for (unsigned int i = 0; i < races.actor_count; i++) {
		if (!atomic_load(&races.actors[i]->ended))
			continue;
		(void)pthread_join(races.actors[i]->thread, NULL);
		start(i);
	}
	if (races.may_cancel && ct_rng_below(rng, 8) == 0)
		(void)pthread_cancel(races.actors[ct_rng_below(rng, races.actor_count)]->thread);
	for (int i = 0; i < 2; i++)
		(void)pthread_kill(races.actors[ct_rng_below(rng, races.actor_count)]->thread, SIGUSR1);
}

bool actors_are_gone(void)
{
	bool gone = true;

	for (unsigned int i = 0; i < races.actor_count; i++) {
		if (!races.actors[i])
			continue;
		if (!atomic_load(&races.actors[i]->ended)) {
			gone = false;
			continue;
		}
		(void)pthread_join(races.actors[i]->thread, NULL);
		free(races.actors[i]);
		races.actors[i] = NULL;
	}
	return gone;
}

/* SPDX-License-Identifier: MIT
 *
 * gang.c - the workers of a subject
 */
#include <config.h>

#include <pthread.h>

#include "soak.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t threads[WORKERS];
	void (*work)(const struct step *step, unsigned int worker);
	/* The lock guards the following members. */
	const struct step *step;
	unsigned int turn; /* of the step; a worker takes part in each turn once */
	unsigned int at_work;
	bool ending;
} gang = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void *run_worker(void *number)
{
	unsigned int seen = 0;

	pthread_mutex_lock(&gang.lock);
	for (;;) {
		while (gang.turn == seen && !gang.ending)
			pthread_cond_wait(&gang.changed, &gang.lock);
		if (gang.ending)
			break;
		seen = gang.turn;
		pthread_mutex_unlock(&gang.lock);
		gang.work(gang.step, (unsigned int)(uintptr_t)number);
		pthread_mutex_lock(&gang.lock);
		if (--gang.at_work == 0)
			pthread_cond_broadcast(&gang.changed);
	}
	pthread_mutex_unlock(&gang.lock);
	return NULL;
}

void gang_start(void (*work)(const struct step *step, unsigned int worker))
{
	gang.work = work;
	gang.turn = 0;
	gang.ending = false;
	for (uintptr_t i = 0; i < WORKERS; i++)
		soak_check(pthread_create(&gang.threads[i], NULL, run_worker, (void *)i) == 0,
			   "a thread could not be started");
}

void gang_work(const struct step *step, void (*tend)(const struct step *step))
{
	pthread_mutex_lock(&gang.lock);
	gang.step = step;
	gang.at_work = WORKERS;
	gang.turn++;
	pthread_cond_broadcast(&gang.changed);
	pthread_mutex_unlock(&gang.lock);
	tend(step);
	pthread_mutex_lock(&gang.lock);
	while (gang.at_work)
		pthread_cond_wait(&gang.changed, &gang.lock);
	pthread_mutex_unlock(&gang.lock);
}

void gang_end(void)
{
	pthread_mutex_lock(&gang.lock);
	gang.ending = true;
	pthread_cond_broadcast(&gang.changed);
	pthread_mutex_unlock(&gang.lock);
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(gang.threads[i], NULL);
}

/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1 << 20, STACK_MAX = 1 << 16 };

struct thread {
	uint8_t at; /* index of the next instruction */
	uint8_t registers[REGISTERS];
	uint8_t buffered;
	uint8_t vars[BUFFER_MAX], values[BUFFER_MAX];
	uint8_t is_draining;
	uint8_t awaited[THREADS_MAX]; /* how many stores of each other thread a drain waits for */
};

struct state {
	uint8_t used; /* the number of entries that are in use */
	uint8_t memory[VARIABLES_MAX];
	uint8_t inside, entries, mapped, freed;
	struct thread threads[THREADS_MAX];
};

static const struct protocol *now;
static unsigned int thread_count;
static struct state *set, *stack;
static unsigned long visited, depth;
static const char *error;

/* ---- states ---- */

static uint64_t hash(const struct state *state)
{
	const unsigned char *at = (const unsigned char *)state;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < sizeof(*state); i++)
		sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
	return sum ^ sum >> 29;
}

/* Adds a state to those that will be explored, unless it was visited before. */
static void reach(const struct state *state)
{
	uint64_t i = hash(state) % SLOTS;

	while (set[i].used && memcmp(&set[i], state, sizeof(*state)) != 0)
		i = (i + 1) % SLOTS;
	if (set[i].used)
		return;
	if (++visited > SLOTS / 2 || depth == STACK_MAX) {
		error = "the protocol has too many states for this machine";
		return;
	}
	set[i] = *state;
	stack[depth++] = *state;
}

static uint8_t read_variable(const struct state *state, const struct thread *thread, uint8_t var)
{
	for (unsigned int i = thread->buffered; i-- > 0;)
		if (thread->vars[i] == var)
			return thread->values[i];
	return state->memory[var];
}

/* Writes the thread's oldest store to memory. */
static void drain_one(struct state *state, unsigned int number)
{
	struct thread *thread = &state->threads[number];

	state->memory[thread->vars[0]] = thread->values[0];
	thread->buffered--;
	memmove(thread->vars, thread->vars + 1, BUFFER_MAX - 1);
	memmove(thread->values, thread->values + 1, BUFFER_MAX - 1);
	thread->vars[BUFFER_MAX - 1] = thread->values[BUFFER_MAX - 1] = 0;
	for (unsigned int i = 0; i < thread_count; i++)
		if (state->threads[i].awaited[number])
			state->threads[i].awaited[number]--;
}

/* ---- instructions ---- */

static uint8_t index_of(const struct instruction *program, const char *label)
{
	for (uint8_t i = 0;; i++) {
		if (program[i].label && strcmp(program[i].label, label) == 0)
			return i;
		if (program[i].op == OP_END) {
			fprintf(stderr, "model: %s has no label %s\n", now->name, label);
			abort();
		}
	}
}

static void require(bool condition, const char *broken)
{
	if (!condition)
		error = broken;
}

static bool store(struct thread *thread, uint8_t var, uint8_t value)
{
	if (thread->buffered == BUFFER_MAX)
		return false;
	thread->vars[thread->buffered] = var;
	thread->values[thread->buffered++] = value;
	return true;
}

/* Begins to wait, or returns true when the wait is over. */
static bool drain(struct state *state, unsigned int number)
{
	struct thread *thread = &state->threads[number];
	bool over = thread->is_draining;

	for (unsigned int i = 0; i < thread_count; i++) {
		if (!thread->is_draining && i != number)
			thread->awaited[i] = state->threads[i].buffered;
		over = over && !thread->awaited[i];
	}
	thread->is_draining = !over;
	return over;
}

/* Executes an instruction that checks or changes state that programs cannot read. */
static void execute_ghost(struct state *state, const struct instruction *instruction, unsigned int number)
{
	switch (instruction->op) {
	case OP_ENTER:
		require(!state->inside, "two threads are in the critical section");
		state->inside |= (uint8_t)(1u << number);
		state->entries++;
		break;
	case OP_LEAVE:
		state->inside &= (uint8_t) ~(1u << number);
		break;
	case OP_MAPPED:
		require(!state->freed, "a thread maps an object that was freed");
		state->mapped++;
		break;
	case OP_UNMAPPED:
		state->mapped--;
		break;
	case OP_FREED:
		require(!state->mapped, "an object is freed while it is mapped");
		require(!state->freed, "an object is freed twice");
		state->freed = 1;
		break;
	default:
		require(state->threads[number].registers[instruction->reg] == instruction->value,
			"a thread reads a wrong value");
	}
}

/* Executes an instruction that uses only the thread's registers.  Returns true if it jumps. */
static bool execute_local(struct thread *thread, const struct instruction *instruction)
{
	uint8_t *reg = &thread->registers[instruction->reg];

	switch (instruction->op) {
	case OP_SET:
		*reg = instruction->value;
		return false;
	case OP_IF:
		return *reg == instruction->value;
	case OP_UNLESS:
		return *reg != instruction->value;
	case OP_COUNT:
		return --*reg != 0;
	default:
		return true; /* OP_GOTO */
	}
}

/* Executes an instruction that uses memory.  Returns false if it has to wait.  Sets *jumps if it jumps. */
static bool execute_memory(struct state *state, const struct instruction *in, unsigned int number, bool *jumps)
{
	struct thread *thread = &state->threads[number];
	uint8_t *reg = &thread->registers[in->reg], *memory = &state->memory[in->var];

	switch (in->op) {
	case OP_LOAD:
		*reg = read_variable(state, thread, in->var);
		return true;
	case OP_STORE:
		return store(thread, in->var, in->value);
	case OP_COPY:
		return store(thread, in->var, (uint8_t)(*reg + in->value));
	case OP_WAIT:
		return read_variable(state, thread, in->var) == in->value;
	default:
		break;
	}
	if (thread->buffered)
		return false;
	switch (in->op) {
	case OP_SWAP:
		*memory = in->value;
		return true;
	case OP_CAS:
		*jumps = *memory != *reg;
		if (!*jumps)
			*memory = (uint8_t)(*reg + in->value);
		return true;
	case OP_LOCK:
		if (*memory)
			return false;
		*memory = 1;
		return true;
	default:
		return true; /* OP_FENCE */
	}
}

/* Executes the thread's next instruction.  Returns false if it cannot be executed now. */
static bool step(struct state *state, unsigned int number)
{
	struct thread *thread = &state->threads[number];
	const struct instruction *program = now->programs[number], *instruction = &program[thread->at];
	bool jumps = false;

	if (instruction->op == OP_END)
		return false;
	if (instruction->op == OP_DRAIN) {
		bool was_draining = thread->is_draining;

		if (!drain(state, number))
			return !was_draining;
	} else if (instruction->op >= OP_ENTER) {
		execute_ghost(state, instruction, number);
	} else if (instruction->op >= OP_SET) {
		jumps = execute_local(thread, instruction);
	} else if (!execute_memory(state, instruction, number, &jumps)) {
		return false;
	}
	thread->at = jumps ? index_of(program, instruction->jump) : (uint8_t)(thread->at + 1);
	return true;
}

/* ---- exploring ---- */

static void check_end(const struct state *state)
{
	unsigned int last = state->memory[now->final_var];

	for (unsigned int i = 0; i < thread_count; i++)
		require(now->programs[i][state->threads[i].at].op == OP_END, "no thread can continue");
	if (now->counter_var >= 0)
		require(state->memory[now->counter_var] == state->entries, "a write in the critical section is lost");
	require(last < 16 && now->final_values >> last & 1, "the last value of a variable is wrong");
}

/* Adds all states that can follow this one. */
static void expand(const struct state *state)
{
	bool any = false;

	for (unsigned int i = 0; i < thread_count && !error; i++) {
		struct state next = *state;

		if (step(&next, i)) {
			any = true;
			reach(&next);
		}
		if (state->threads[i].buffered && !error) {
			next = *state;
			drain_one(&next, i);
			any = true;
			reach(&next);
		}
	}
	if (!any)
		check_end(state);
}

const char *machine_explore(const struct protocol *protocol, unsigned long *states)
{
	struct state start = { .used = 1 };

	set = calloc(SLOTS, sizeof(*set));
	stack = calloc(STACK_MAX, sizeof(*stack));
	if (!set || !stack)
		abort();
	now = protocol;
	for (thread_count = 0; thread_count < THREADS_MAX && protocol->programs[thread_count];)
		thread_count++;
	memcpy(start.memory, protocol->memory, sizeof(start.memory));
	visited = depth = 0;
	error = NULL;
	reach(&start);
	while (depth && !error) {
		struct state state = stack[--depth];

		expand(&state);
	}
	free(set);
	free(stack);
	*states = visited;
	return error;
}

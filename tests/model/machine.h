/* SPDX-License-Identifier: MIT
 *
 * machine.h - a small machine with store buffers; every possible execution of its programs is tested
 *
 * Up to three threads run one program each, on a memory of a few variables.  The memory model is TSO, as on x86: a
 * store enters the thread's buffer and reaches memory later, in order; a load sees the thread's own buffer first.  An
 * atomic instruction waits until its thread's buffer is empty.  Between any two instructions every other thread may
 * run, and any buffer may write its oldest store to memory.  machine_explore() visits every reachable state once.  If
 * it finds no error, no execution of these programs has one.
 *
 * An instruction that waits is not executed until its condition holds.  A state in which no thread can continue is an
 * error.
 *
 * The machine also keeps state that programs cannot read: which threads are in the critical section, how often it was
 * entered, how many mappings an object has, and whether it was freed.
 */
#ifndef MODEL_MACHINE_H
#define MODEL_MACHINE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { THREADS_MAX = 3, VARIABLES_MAX = 6, REGISTERS = 3, BUFFER_MAX = 4 };

enum operation {
	OP_END,      /* the program is finished */
	OP_LOAD,     /* reg = [var] */
	OP_STORE,    /* [var] = value */
	OP_COPY,     /* [var] = reg + value */
	OP_SWAP,     /* [var] = value, atomically */
	OP_CAS,      /* if [var] == reg, [var] = reg + value, atomically; else jump */
	OP_FENCE,    /* waits until the thread's own buffer is empty */
	OP_DRAIN,    /* waits until all stores that other threads have executed until now are in memory */
	OP_WAIT,     /* waits until [var] == value */
	OP_LOCK,     /* waits until [var] == 0, and then sets it to 1, atomically */
	OP_SET,      /* reg = value */
	OP_IF,       /* if reg == value, jump */
	OP_UNLESS,   /* if reg != value, jump */
	OP_COUNT,    /* reg = reg - 1; if it is not 0, jump */
	OP_GOTO,     /* jump */
	OP_ENTER,    /* the critical section begins: no other thread may be in it */
	OP_LEAVE,    /* the critical section ends */
	OP_MAPPED,   /* the thread may use the object from now on: it must not have been freed */
	OP_UNMAPPED, /* the thread does not use the object any more */
	OP_FREED,    /* the object was freed: no thread may have it mapped */
	OP_CHECK     /* reg must be value */
};

struct instruction {
	enum operation op;
	uint8_t var, reg, value;
	const char *jump;  /* the label of the next instruction */
	const char *label; /* of this instruction */
};

/* For tables: { LOAD(R0, BUSY), AT("again") } */
#define LOAD(reg_, var_) .op = OP_LOAD, .reg = (reg_), .var = (var_)
#define STORE(var_, value_) .op = OP_STORE, .var = (var_), .value = (value_)
#define COPY(var_, reg_, add_) .op = OP_COPY, .var = (var_), .reg = (reg_), .value = (uint8_t)(add_)
#define SWAP(var_, value_) .op = OP_SWAP, .var = (var_), .value = (value_)
#define CAS(var_, reg_, add_, else_)                                                                                   \
	.op = OP_CAS, .var = (var_), .reg = (reg_), .value = (uint8_t)(add_), .jump = (else_)
#define FENCE .op = OP_FENCE
#define DRAIN .op = OP_DRAIN
#define WAIT(var_, value_) .op = OP_WAIT, .var = (var_), .value = (value_)
#define LOCK(var_) .op = OP_LOCK, .var = (var_)
#define UNLOCK(var_) STORE(var_, 0)
#define SET(reg_, value_) .op = OP_SET, .reg = (reg_), .value = (value_)
#define IF(reg_, value_, jump_) .op = OP_IF, .reg = (reg_), .value = (value_), .jump = (jump_)
#define UNLESS(reg_, value_, jump_) .op = OP_UNLESS, .reg = (reg_), .value = (value_), .jump = (jump_)
#define COUNT(reg_, jump_) .op = OP_COUNT, .reg = (reg_), .jump = (jump_)
#define GOTO(jump_) .op = OP_GOTO, .jump = (jump_)
#define CHECK(reg_, value_) .op = OP_CHECK, .reg = (reg_), .value = (value_)
#define GHOST(op_) .op = (op_)
#define AT(label_) .label = (label_)
#define END .op = OP_END

enum { R0, R1, R2 };

/* A program ends with OP_END. */
struct protocol {
	const char *name;
	const char *broken; /* the fault that it has, which must be found, or NULL if it is correct */
	const struct instruction *programs[THREADS_MAX];
	uint8_t memory[VARIABLES_MAX];
	/* At the end, [counter_var] must be the number of entries into the critical section.  -1: unused. */
	int counter_var;
	/* At the end, the bit of [final_var] must be set in final_values. */
	uint8_t final_var;
	uint16_t final_values;
};

/*
 * Returns NULL if no execution breaks a rule, or a sentence that names the broken rule.  Sets *states to the number of
 * reachable states.
 */
const char *machine_explore(const struct protocol *protocol, unsigned long *states);

#endif

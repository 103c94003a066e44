/* SPDX-License-Identifier: MIT
 *
 * The protocols that use no lock and no fence are correct in every execution, and each becomes incorrect if a step of
 * it is left out, so that the model would notice.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "protocols.h"

static unsigned int failures;

static void explore(const struct protocol *protocol)
{
	unsigned long states = 0;
	const char *error = machine_explore(protocol, &states);
	bool passed = !error == !protocol->broken;

	printf("%s: %s%s%s: %lu states, %s\n", passed ? "ok" : "FAIL", protocol->name, protocol->broken ? ", if " : "",
	       protocol->broken ? protocol->broken : "", states, error ? error : "no error");
	failures += !passed;
}

int main(void)
{
	for (unsigned int i = 0; i < biased_count; i++)
		explore(&biased_protocols[i]);
	for (unsigned int i = 0; i < handle_count; i++)
		explore(&handle_protocols[i]);
	for (unsigned int i = 0; i < leaf_count; i++)
		explore(&leaf_protocols[i]);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

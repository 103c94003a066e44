/* SPDX-License-Identifier: MIT
 *
 * soak.h - the soak test, as a case of the contract suite's kind
 */
#ifndef CT_SOAK_H
#define CT_SOAK_H 1

#include "contract.h"

/* How long the test lasts; to be set before the run. */
extern unsigned int ct_soak_seconds;

extern const struct ct_group ct_groups_soak[];

#endif /* CT_SOAK_H */

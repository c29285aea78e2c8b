/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/log.h"
#include "milter/prober_parts.h"

#define NETWORK_HOSTS 4 /* fewer that fail are no sign */

/* Is it our own network? Only probes tell: a delivery may use another address
   of this machine, and is not made on a schedule. */

static enum prober_sight
sight_of(const struct observation *seen)
{
	if (seen->outcome == OUTCOME_TIMEOUT ||
	    seen->outcome == OUTCOME_UNREACHABLE)
		return SIGHT_NETWORK_FAILS;
	return SIGHT_ANSWERS;
}

static void
count(struct prober_target *target, enum prober_sight sight)
{
	struct prober *prober = target->prober;

	prober->n_sighted -= target->sight != SIGHT_NONE;
	prober->n_network_fails -= target->sight == SIGHT_NETWORK_FAILS;
	target->sight = sight;
	prober->n_sighted += sight != SIGHT_NONE;
	prober->n_network_fails += sight == SIGHT_NETWORK_FAILS;
}

/*
 * Each host's newest probe counts, and those are not older than one interval.
 * When all of them met silence, the cable is a likelier cause than all hosts.
 */
static void
suspect(struct prober *prober)
{
	bool all_fail = prober->n_sighted >= NETWORK_HOSTS &&
			prober->n_network_fails == prober->n_sighted;

	if (all_fail == prober->network_suspect)
		return;
	/* Only an answer clears the suspicion, not a host that is removed. */
	if (!all_fail && prober->n_network_fails == prober->n_sighted &&
	    prober->n_sighted > 0)
		return;
	prober->network_suspect = all_fail;
	if (all_fail)
		log_warning("none of %u hosts answers: our own network? "
			    "back-offs do not grow until one does",
		    prober->n_sighted);
	else
		log_info("hosts answer again: our own network is well");
}

void
prober_network_saw(struct prober_target *target, const struct observation *seen)
{
	count(target, sight_of(seen));
	suspect(target->prober);
}

void
prober_network_forget(struct prober_target *target)
{
	count(target, SIGHT_NONE);
}

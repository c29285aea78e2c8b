/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What one server's failure in the delivery log says of that server, whichever
 * host it may be.
 */
#ifndef NH_POLICY_DELIVERY_SIGHT_H
#define NH_POLICY_DELIVERY_SIGHT_H

#include <stdbool.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/delivery.h"
#include "policy/delivery_line.h"

struct delivery_reading {
	enum delivery_sight sight;
	bool each;    /* the answer to one recipient: others may fare better in
			 the same session */
	bool by_host; /* mail waits for the host, not for itself */
	struct observation seen;
};

/*
 * failure->there must hold.
 * Returns: false when it says nothing of the server (trouble of our own).
 * reading_r->by_host is valid in both cases, the rest only with true.
 */
bool delivery_sight_read(const struct config *config,
    const struct delivery_failure *failure,
    struct delivery_reading *reading_r) NH_MUSTCHECK NH_ALL_NONNULL;

/* What is seen of a host that took a message. */
struct observation delivery_sight_ok(void);

#endif

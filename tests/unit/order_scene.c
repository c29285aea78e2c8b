/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "tests/unit/order_scene.h"

#include <stdlib.h>
#include <string.h>

/* xorshift: the same states at each run, on each machine. */
uint64_t scene_random_state;

uint32_t
scene_random(uint32_t limit)
{
	scene_random_state ^= scene_random_state << 13;
	scene_random_state ^= scene_random_state >> 7;
	scene_random_state ^= scene_random_state << 17;
	return (uint32_t)(scene_random_state >> 33) % limit;
}

void
scene_of(struct scene *scene, uint32_t n)
{
	memset(scene, 0, sizeof(*scene));
	scene->n = n;
	for (uint32_t i = 0; i < n; i++) {
		scene->member[i].host = i;
		scene->member[i].weight = 1;
		scene->input[i].view.state = HEALTH_UP;
		scene->input[i].view.usable = true;
	}
}

void
scene_from(struct scene *scene, const char *letters)
{
	uint16_t priority = 0;
	uint32_t n = 0;

	scene_of(scene, MAX);
	for (; *letters != '\0'; letters++) {
		struct order_input *input = &scene->input[n];
		struct health_view *view = &input->view;

		if (*letters == ' ') {
			priority = (uint16_t)(priority + 10);
			continue;
		}
		scene->member[n++].priority = priority;
		if (strchr("dtocF", *letters) != NULL) {
			view->state = HEALTH_DEFERRED;
			view->due_ms = 5000;
		}
		if (strchr("toc", *letters) != NULL)
			view->state = HEALTH_TRIAL;
		input->offered = *letters == 'o';
		input->taken = strchr("oc", *letters) != NULL;
		if (*letters == 'F')
			view->override = OVERRIDE_FORCED_UP;
		else if (*letters == 'D')
			view->override = OVERRIDE_DRAIN;
		else if (*letters == 'X')
			view->override = OVERRIDE_DISABLED;
		else if (*letters == 'f')
			input->wrong_family = true;
		else if (*letters == 'n')
			view->usable = false;
	}
	scene->n = n;
}

void
scene_compute(const struct scene *scene, uint32_t ticket, struct order *order_r)
{
	memset(order_r, 0xa5, sizeof(*order_r));
	order_compute(scene->member, scene->input, scene->n, ticket, order_r);
	REQUIRE(order_r->n <= scene->n, "%u hosts listed", order_r->n);
}

const char *
scene_list(const struct scene *scene, uint32_t ticket)
{
	static char text[MAX + 1];
	struct order order;

	scene_compute(scene, ticket, &order);
	for (uint32_t k = 0; k < order.n; k++)
		text[k] = (char)('A' + order.member[k]);
	text[order.n] = '\0';
	return text;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the heap. */
#include "policy/due_heap.h"

#include <stdlib.h>

static void
set(struct due_heap *heap, uint32_t i, struct due *due)
{
	heap->list[i] = due;
	due->place = i + 1;
}

static void
sift_up(struct due_heap *heap, uint32_t i, struct due *due)
{
	uint32_t parent;

	for (; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (heap->list[parent]->at_ms <= due->at_ms)
			break;
		set(heap, i, heap->list[parent]);
	}
	set(heap, i, due);
}

static void
sift_down(struct due_heap *heap, uint32_t i, struct due *due)
{
	uint32_t child;

	for (; (child = 2 * i + 1) < heap->n; i = child) {
		if (child + 1 < heap->n &&
		    heap->list[child + 1]->at_ms < heap->list[child]->at_ms)
			child++;
		if (heap->list[child]->at_ms >= due->at_ms)
			break;
		set(heap, i, heap->list[child]);
	}
	set(heap, i, due);
}

/* Lets due, which stands or will stand at i, find its place. */
static void
settle(struct due_heap *heap, uint32_t i, struct due *due)
{
	if (i > 0 && heap->list[(i - 1) / 2]->at_ms > due->at_ms)
		sift_up(heap, i, due);
	else
		sift_down(heap, i, due);
}

static int
make_room(struct due_heap *heap)
{
	uint32_t capacity = heap->capacity * 2 + 64;
	struct due **list;

	if (heap->n < heap->capacity)
		return 0;
	list = reallocarray(heap->list, capacity, sizeof(list[0]));
	if (list == NULL)
		return -1;
	heap->list = list;
	heap->capacity = capacity;
	return 0;
}

void
due_heap_clear(struct due_heap *heap)
{
	free(heap->list);
	*heap = (struct due_heap){ .list = NULL };
}

int
due_heap_put(struct due_heap *heap, struct due *due, uint64_t at_ms)
{
	due->at_ms = at_ms;
	if (due_is_in(due)) {
		settle(heap, due->place - 1, due);
		return 0;
	}
	if (make_room(heap) == -1)
		return -1;
	sift_up(heap, heap->n++, due);
	return 0;
}

void
due_heap_remove(struct due_heap *heap, struct due *due)
{
	uint32_t i = due->place - 1;
	struct due *last;

	if (!due_is_in(due))
		return;
	due->place = 0;
	last = heap->list[--heap->n];
	if (last != due)
		settle(heap, i, last);
}

struct due *
due_heap_first(const struct due_heap *heap)
{
	return heap->n == 0 ? NULL : heap->list[0];
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of a tool. */
#include "milter/ctl_grid.h"

#include "policy/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct ctl_grid {
	size_t n_columns;
	size_t n_cells;
	size_t room;
	char **cells;
	size_t width[CTL_GRID_COLUMNS_MAX];
};

struct ctl_grid *
ctl_grid_create(size_t n_columns)
{
	struct ctl_grid *grid = xcalloc(1, sizeof(*grid));

	assert(n_columns > 0 && n_columns <= CTL_GRID_COLUMNS_MAX);
	grid->n_columns = n_columns;
	return grid;
}

void
ctl_grid_free(struct ctl_grid **grid)
{
	struct ctl_grid *it = *grid;

	*grid = NULL;
	if (it == NULL)
		return;
	for (size_t i = 0; i < it->n_cells; i++)
		free(it->cells[i]);
	free(it->cells);
	free(it);
}

void
ctl_grid_add(struct ctl_grid *grid, const char *const *cells)
{
	if (grid->n_cells + grid->n_columns > grid->room) {
		grid->room = 2 * grid->room + grid->n_columns;
		grid->cells = xreallocarray(
		    grid->cells, grid->room, sizeof(*grid->cells));
	}
	for (size_t i = 0; i < grid->n_columns; i++) {
		size_t len = strlen(cells[i]);

		if (grid->width[i] < len)
			grid->width[i] = len;
		grid->cells[grid->n_cells++] = xstrdup(cells[i]);
	}
}

/* How many cells of a row there are up to the last one that is not empty. */
static size_t
filled(char *const *row, size_t n)
{
	while (n > 1 && row[n - 1][0] == '\0')
		n--;
	return n;
}

void
ctl_grid_print(const struct ctl_grid *grid, FILE *out)
{
	for (size_t at = 0; at < grid->n_cells; at += grid->n_columns) {
		char *const *row = &grid->cells[at];
		size_t n = filled(row, grid->n_columns);

		for (size_t i = 0; i + 1 < n; i++)
			fprintf(out, "%-*s  ", (int)grid->width[i], row[i]);
		fprintf(out, "%s\n", row[n - 1]);
	}
}

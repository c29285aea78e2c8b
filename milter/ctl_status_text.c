/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_status.h"

#include "milter/clock.h"
#include "milter/ctl_duration.h"
#include "milter/ctl_grid.h"
#include "milter/ctl_host.h"
#include "policy/lookup.h"
#include "policy/printable.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define HOSTS_SHOWN   100
#define ROUTES_SHOWN  20
#define MEMBERS_SHOWN 8
#define TIME_SIZE     48
#define CELL_SIZE     (MEMBERS_SHOWN * (HOST_TEXT_MAX + 6) + 64)

/* Each host is one of these, the first that holds. */
enum host_class {
	CLASS_UNKNOWN = 0,
	CLASS_DRAIN,
	CLASS_DISABLED,
	CLASS_UNRESOLVED,
	CLASS_FORCED_UP,
	CLASS_DEFERRED,
	CLASS_TRIAL,
	CLASS_UP,
	CLASS_COUNT
};

/*
 * What is shown of many: all in the order of the file while they fit, else
 * first those with something to say, then others, until there is no more room.
 */
struct page {
	const struct ctl *ctl;
	struct ctl_grid *grid;
	enum ctl_writer writer;
	bool all;
	bool troubled; /* this round's kind, unless all */
	uint32_t room;
	uint32_t n_shown;
	uint32_t n_troubled; /* routes */
	uint32_t n[CLASS_COUNT];
};

/* ---- the first lines ---- */

static void
print_writer(const struct ctl *ctl, enum ctl_writer writer, FILE *out)
{
	struct health_table_header_info info;
	char beat[TIME_SIZE], age[CTL_DURATION_TEXT];
	uint64_t now_ms = ctl->now_ms;

	health_table_header(ctl->table, &info);
	(void)clock_rfc3339(info.heartbeat_ms, beat, sizeof(beat));
	(void)ctl_duration_format(
	    info.heartbeat_ms < now_ms ? now_ms - info.heartbeat_ms : 0, age,
	    sizeof(age));
	switch (writer) {
	case CTL_WRITER_ALIVE:
		fprintf(out,
		    "worker %" PRIu32 " is alive (last sign of life %s ago)",
		    info.writer_pid, age);
		break;
	case CTL_WRITER_STALE:
		fprintf(out,
		    "worker %" PRIu32 " has given no sign of life for %s, "
		    "since %s: what follows may be old",
		    info.writer_pid, age, beat);
		break;
	case CTL_WRITER_DEAD:
		fprintf(out,
		    "worker %" PRIu32 " is dead, the daemon is not running: "
		    "what follows is as it left it %s ago, at %s",
		    info.writer_pid, age, beat);
		break;
	}
	fprintf(out, "; generation %" PRIu32 "\n", info.generation);
}

static enum host_class
class_of(const struct ctl_host *host)
{
	if (host->slot == HEALTH_TABLE_NONE)
		return CLASS_UNKNOWN;
	if (host->view.override == OVERRIDE_DRAIN)
		return CLASS_DRAIN;
	if (host->view.override == OVERRIDE_DISABLED)
		return CLASS_DISABLED;
	if (!host->view.usable)
		return CLASS_UNRESOLVED;
	if (host->view.override == OVERRIDE_FORCED_UP)
		return CLASS_FORCED_UP;
	if (host->view.state == HEALTH_DEFERRED)
		return CLASS_DEFERRED;
	return host->view.state == HEALTH_TRIAL ? CLASS_TRIAL : CLASS_UP;
}

static void
count_host(const struct ctl_host *host, void *arg)
{
	struct page *page = arg;

	page->n[class_of(host)]++;
}

static uint32_t
count_all(const struct page *page)
{
	uint32_t n = 0;

	for (int i = 0; i < CLASS_COUNT; i++)
		n += page->n[i];
	return n;
}

static void
print_counts(const struct ctl *ctl, const struct page *page, FILE *out)
{
	static const char *const texts[] = {
		[CLASS_UNKNOWN] = "not in the table yet",
		[CLASS_DRAIN] = "drained",
		[CLASS_DISABLED] = "disabled",
		[CLASS_UNRESOLVED] = "without an address",
		[CLASS_FORCED_UP] = "forced up",
		[CLASS_DEFERRED] = "deferred",
		[CLASS_TRIAL] = "on trial",
		[CLASS_UP] = "up",
	};
	struct health_table_header_info info;
	uint32_t n = count_all(page), known = n - page->n[CLASS_UNKNOWN];

	_Static_assert(NELEM(texts) == CLASS_COUNT, "a text for each class");
	health_table_header(ctl->table, &info);
	fprintf(out, "%" PRIu32 " host%s", n, n == 1 ? "" : "s");
	for (int i = CLASS_COUNT - 1; i >= 0; i--)
		if (page->n[i] > 0)
			fprintf(out, "%s%" PRIu32 " %s",
			    i == CLASS_UP ? ": " : ", ", page->n[i], texts[i]);
	if (ctl->config != NULL && known < info.hosts_used)
		fprintf(out,
		    " (the table keeps %" PRIu32 " more that %s does not name)",
		    info.hosts_used - known, ctl->path);
	fprintf(out, "\n");
}

/* ---- hosts ---- */

static const char *
time_cell(uint64_t boot_ms, char *cell)
{
	if (boot_ms == 0)
		return "-";
	return clock_rfc3339(boot_ms, cell, TIME_SIZE);
}

/*
 * When a deferred host is tried next: by a message if probes do not see its
 * trouble, else by a probe, give or take what the probe thread adds at random;
 * a back-off that ends about then is waited for.
 */
static uint64_t
next_try_ms(const struct ctl *ctl, const struct ctl_host *host)
{
	const struct health_detail *detail = &host->detail;
	uint64_t due_ms = host->view.due_ms, wait_ms, at_ms;

	if (ctl->config == NULL ||
	    (detail->health.blind && due_ms > ctl->now_ms))
		return due_ms;
	wait_ms =
	    health_probe_wait(&detail->health, ctl->config->probe.interval_ms);
	at_ms = detail->last_seen_ms + wait_ms;
	return due_ms > at_ms && due_ms <= at_ms + wait_ms / 8 ? due_ms : at_ms;
}

static const char *
next_try_cell(const struct page *page, const struct ctl_host *host, char *cell)
{
	const struct ctl *ctl = page->ctl;
	uint64_t at_ms;
	char span[CTL_DURATION_TEXT];

	if (host->view.state == HEALTH_UP)
		return "-";
	if (page->writer == CTL_WRITER_DEAD)
		return "no daemon";
	if (host->view.override == OVERRIDE_DISABLED)
		return "-";
	if (host->view.state == HEALTH_TRIAL)
		return "a message";
	at_ms = next_try_ms(ctl, host);
	if (at_ms <= ctl->now_ms)
		return "now";
	(void)snprintf(cell, TIME_SIZE, "in %s",
	    ctl_duration_format(at_ms - ctl->now_ms, span, sizeof(span)));
	return cell;
}

static const char *
latency_cell(uint32_t latency_us, char *cell)
{
	if (latency_us == 0)
		return "-";
	(void)snprintf(cell, TIME_SIZE, "%.1f ms", latency_us / 1000.0);
	return cell;
}

static void
show_host(const struct ctl_host *host, void *arg)
{
	struct page *page = arg;
	char name[HOST_TEXT_MAX], since[TIME_SIZE], until[TIME_SIZE];
	char next[TIME_SIZE], failures[TIME_SIZE], picked[TIME_SIZE];
	char latency[TIME_SIZE], reason[CTL_REASON_MAX];
	bool known = host->slot != HEALTH_TABLE_NONE;
	bool overridden = host->view.override != OVERRIDE_NONE;

	if (page->n_shown == page->room ||
	    (!page->all && (class_of(host) != CLASS_UP) != page->troubled))
		return;
	page->n_shown++;
	(void)host_format_plain(&host->host, name);
	(void)snprintf(
	    failures, sizeof(failures), "%" PRIu32, ctl_host_failures(host));
	(void)snprintf(
	    picked, sizeof(picked), "%" PRIu64, host->counter[COUNTER_PICKED]);
	ctl_grid_add(page->grid,
	    (const char *[]){ name,
		known ? health_state_name(host->view.state) : "-",
		overridden ? health_override_name(host->view.override) : "-",
		time_cell(overridden ? host->override.since_ms
				     : host->detail.health.since_ms,
		    since),
		time_cell(ctl_host_until_ms(host), until),
		next_try_cell(page, host, next), failures, picked,
		latency_cell(host->detail.latency_us, latency),
		ctl_host_reason(host, reason, sizeof(reason)) });
}

static void
print_hosts(struct page *page, FILE *out)
{
	uint32_t n = count_all(page);

	page->grid = ctl_grid_create(10);
	page->room = HOSTS_SHOWN;
	page->all = n <= HOSTS_SHOWN;
	ctl_grid_add(page->grid,
	    (const char *[]){ "HOST", "STATE", "OVERRIDE", "SINCE", "UNTIL",
		"NEXT TRY", "FAILURES", "PICKED", "LATENCY", "REASON" });
	page->troubled = true;
	ctl_host_each(page->ctl, show_host, page);
	page->troubled = false;
	if (!page->all)
		ctl_host_each(page->ctl, show_host, page);
	ctl_grid_print(page->grid, out);
	if (n > page->n_shown)
		fprintf(out,
		    "... and %" PRIu32 " more (status --json lists all)\n",
		    n - page->n_shown);
	ctl_grid_free(&page->grid);
}

/* ---- routes ---- */

/* "a, b then c": a comma within a tier, "then" before the next. */
static void
members_cell(const struct config *config, const struct config_set *set,
    char cell[CELL_SIZE])
{
	const struct config_member *member =
	    &config->members[set->first_member];
	char text[HOST_TEXT_MAX];
	size_t len = 0;

	for (uint32_t i = 0; i < set->n_members && i < MEMBERS_SHOWN; i++) {
		const char *between = "";

		if (i > 0)
			between = member[i].priority == member[i - 1].priority
				      ? ", "
				      : " then ";
		(void)host_format_plain(&config->hosts[member[i].host], text);
		len += (size_t)snprintf(
		    cell + len, CELL_SIZE - len, "%s%s", between, text);
		assert(len < CELL_SIZE);
	}
	if (set->n_members > MEMBERS_SHOWN)
		(void)snprintf(cell + len, CELL_SIZE - len,
		    " and %" PRIu32 " more", set->n_members - MEMBERS_SHOWN);
}

static const char *
route_state(const struct lookup_answer *answer)
{
	switch (answer->kind) {
	case LOOKUP_HOLD:
		return "held";
	case LOOKUP_DNS:
		return "dns";
	case LOOKUP_HOSTS:
		return answer->order.kind == ORDER_UP ? "up" : "none is up";
	case LOOKUP_NOT_OURS:
		break;
	}
	return "-";
}

static void
show_route(struct page *page, const struct lookup_base *base, uint32_t i)
{
	const struct config *config = base->config;
	const struct config_route *route = &config->routes[i];
	struct lookup_answer answer;
	char domain[ADDRESS_DOMAIN_MAX], cursor[TIME_SIZE] = "-";
	char hosts[CELL_SIZE] = "the MTA's own MX lookup";
	enum lookup_kind kind =
	    lookup_with_ticket(base, i, 0, page->ctl->now_ms, &answer);
	bool troubled = kind != LOOKUP_DNS && answer.order.kind != ORDER_UP;

	if (!page->all && troubled != page->troubled)
		return;
	page->n_troubled += troubled;
	if (page->n_shown == page->room)
		return;
	page->n_shown++;
	if (kind != LOOKUP_DNS) {
		uint32_t slot = base->set_slot[route->set];

		members_cell(config, &config->sets[route->set], hosts);
		if (slot != HEALTH_TABLE_NONE)
			(void)snprintf(cursor, sizeof(cursor), "%" PRIu32,
			    health_table_cursor(base->table, slot));
	}
	(void)printable(
	    route->domain, strlen(route->domain), domain, sizeof(domain));
	ctl_grid_add(page->grid,
	    (const char *[]){ domain, route_state(&answer), cursor, hosts });
}

static void
print_routes(const struct ctl *ctl, FILE *out)
{
	struct page page = { .ctl = ctl, .room = ROUTES_SHOWN };
	uint32_t n = ctl->config->n_routes;
	struct lookup_base *base;
	struct err err;

	if (lookup_bind(ctl->config, ctl->table, false, &base, &err) == -1) {
		fprintf(out, "routes: %s\n", err.text);
		return;
	}
	page.grid = ctl_grid_create(4);
	ctl_grid_add(page.grid,
	    (const char *[]){ "DOMAIN", "STATE", "CURSOR", "HOSTS" });
	page.all = n <= ROUTES_SHOWN;
	for (int round = 0; round < (page.all ? 1 : 2); round++) {
		page.troubled = round == 0;
		for (uint32_t i = 0; i < n; i++)
			show_route(&page, base, i);
	}
	fprintf(out, "\n%" PRIu32 " route%s", n, n == 1 ? "" : "s");
	if (page.n_troubled > 0)
		fprintf(out, ", %" PRIu32 " with no host up", page.n_troubled);
	fprintf(out, "\n");
	ctl_grid_print(page.grid, out);
	if (n > page.n_shown)
		fprintf(out,
		    "... and %" PRIu32 " more (status --json lists all)\n",
		    n - page.n_shown);
	ctl_grid_free(&page.grid);
	lookup_base_free(&base);
}

void
ctl_status_text(const struct ctl *ctl, FILE *out)
{
	struct page page = { .ctl = ctl };
	struct health_table_header_info info;

	health_table_header(ctl->table, &info);
	page.writer = ctl_writer_of(&info, ctl->now_ms);
	print_writer(ctl, page.writer, out);
	ctl_host_each(ctl, count_host, &page);
	print_counts(ctl, &page, out);
	if (count_all(&page) > 0) {
		(void)putc('\n', out);
		print_hosts(&page, out);
	}
	if (ctl->config != NULL && ctl->config->n_routes > 0)
		print_routes(ctl, out);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/delivery.h"

#include <string.h>

#include "policy/flush_plan.h"
#include "policy/route.h"
#include "tests/fuzz/frame.h"

#define HOSTS_MAX 8
#define NAMES_MAX 64
#define AGAIN_MS  5000

#define SOCKETS                                                                \
	"milter_socket = \"unix:/run/nexthop-milter/milter\";\n"               \
	"map_socket = \"unix:/run/nexthop-milter/map\";\n"                     \
	"health_table = \"/run/nexthop-milter/health\";\n"                     \
	"transport = \"nexthop\";\n"

/* Sure hosts and doubtful ones, names and literals, a host of two routes; the
   other one is what a reload may bring. */
static const char one[] = SOCKETS
    "delivery: { replies = ({ reply = \"452 4.3\"; concerns = \"recipient\"; "
    "text = \"quota\"; }); };\n"
    "routes = (\n"
    "{ domain = \"example.com\"; hosts = ({ host = \"192.0.2.10\"; },\n"
    "  { host = \"192.0.2.10\"; port = 26; }, { host = \"mx.test\"; }); },\n"
    "{ domain = \".wild.test\"; hosts = ({ host = \"192.0.2.10\"; },\n"
    "  { host = \"2001:db8::1\"; }); },\n"
    "{ domain = \"ALL\"; use_dns = true; });\n";
static const char other[] = SOCKETS
    "routes = (\n"
    "{ domain = \"d.test\"; hosts = ({ host = \"mx.test\"; port = 2525; },\n"
    "  { host = \"192.0.2.10\"; }); },\n"
    "{ domain = \"example.com\"; hosts = ({ host = \"192.0.2.11\"; }); });\n";

/* A domain that was flushed, or is refused. */
struct name {
	char text[ADDRESS_DOMAIN_MAX + 1];
	uint64_t flushed_ms;
	bool refused;
};

struct world {
	const struct config *config;
	struct delivery *delivery;
	struct flush_plan *plan;
	struct delivery_streak streaks[HOSTS_MAX];
	struct name names[NAMES_MAX];
	unsigned n_names;
	uint64_t now_ms;
	uint64_t acted_ms;
};

/* Returns: NULL when there are too many of them. */
static struct name *
name_of(struct world *world, const char *text)
{
	for (unsigned i = 0; i < world->n_names; i++)
		if (strcmp(world->names[i].text, text) == 0)
			return &world->names[i];
	if (world->n_names == NAMES_MAX)
		return NULL;
	strcpy(world->names[world->n_names].text, text);
	return &world->names[world->n_names++];
}

/* -- what the lines say --------------------------------------------------- */

static void
check_observation(const struct observation *seen)
{
	require(seen->source == SOURCE_DELIVERY &&
		    seen->outcome < OUTCOME_COUNT && seen->stage < STAGE_COUNT,
	    "a sight is of a delivery");
	require(outcome_info(seen->outcome)->verdict != VERDICT_NEUTRAL,
	    "a delivery is never trouble of our own");
	require_printable(seen->text, sizeof(seen->text), "it is printable");
}

static void
check_sight(const struct delivery_seen *seen)
{
	const enum outcome outcome = seen->seen.outcome;

	check_observation(&seen->seen);
	require(seen->message != 0, "a sight is of a message");
	switch (seen->sight) {
	case DELIVERY_OK:
		require(outcome == OUTCOME_OK, "good is good");
		break;
	case DELIVERY_TROUBLE:
		require(outcome_info(outcome)->verdict == VERDICT_FAIL,
		    "trouble is a failure");
		break;
	case DELIVERY_REFUSAL:
	case DELIVERY_SHY:
		require(seen->recipient != 0, "a refusal is somebody's");
		/* fallthrough */
	case DELIVERY_FINAL:
	case DELIVERY_WORD:
		require(outcome == OUTCOME_POLICY, "a word is no failure");
		break;
	}
}

static void
on_seen(void *arg, const struct delivery_seen *seen)
{
	struct world *world = arg;
	struct observation told;
	enum delivery_verdict verdict;

	require(seen->host < world->config->n_hosts, "a host is there");
	check_sight(seen);
	verdict = delivery_judge(&world->streaks[seen->host], seen, &told);
	require(verdict <= DELIVERY_PROBE, "a verdict is one of the known");
	if (verdict == DELIVERY_COUNTS)
		check_observation(&told);
}

static uint64_t
set_of(const struct world *world, uint32_t route,
    const struct address *recipient, const char *queue_id)
{
	const struct config *config = world->config;

	require(route < config->n_routes && !config->routes[route].use_dns &&
		    config->routes[route].set < config->n_sets,
	    "a route has a set");
	require(recipient->domain_len > 0 &&
		    strlen(recipient->domain) == recipient->domain_len,
	    "a recipient has a domain");
	require(queue_id[0] != '\0', "a message has a queue id");
	require_printable(queue_id, DELIVERY_QUEUE_MAX, "it is printable");
	return config->sets[config->routes[route].set].key;
}

static void
on_waiting(void *arg, const struct delivery_waiting *waiting)
{
	struct world *world = arg;

	uint64_t set = set_of(
	    world, waiting->route, waiting->recipient, waiting->queue_id);

	flush_plan_waiting(
	    world->plan, set, waiting, waiting->route % 2 == 0, world->now_ms);
	/* As if each refusal filled a row. */
	flush_plan_blame(
	    world->plan, set, waiting->route % 2 == 0, world->now_ms);
}

static void
on_gone(void *arg, uint32_t route, const struct address *recipient,
    const char *queue_id)
{
	struct world *world = arg;

	flush_plan_gone(world->plan, set_of(world, route, recipient, queue_id),
	    recipient, queue_id);
}

/* -- what is done about the mail that waits ------------------------------- */

static void
check_flush(struct world *world, const char *domain)
{
	struct name *name = name_of(world, domain);

	if (name == NULL)
		return;
	require(!name->refused, "what is refused is not flushed");
	require(name->flushed_ms == 0 ||
		    world->now_ms - name->flushed_ms >= FLUSH_DOMAIN_GAP_MS,
	    "a domain is flushed once a minute at most");
	name->flushed_ms = world->now_ms;
}

static void
check_step(struct world *world)
{
	struct flush_step step;
	uint32_t wait_ms, domains, messages;

	switch (flush_plan_next(world->plan, world->now_ms, &step, &wait_ms)) {
	case FLUSH_NOTHING:
		require(wait_ms > 0, "what waits for nothing is done");
		return;
	case FLUSH_DOMAIN:
		check_flush(world, step.what);
		break;
	case FLUSH_MESSAGE:
		require_printable(
		    step.what, sizeof(step.what), "a queue id is printable");
		break;
	}
	require(step.what[0] != '\0', "what is flushed has a name");
	require(world->acted_ms == 0 ||
		    world->now_ms - world->acted_ms >= FLUSH_PACE_MS,
	    "there is a pause between two actions");
	world->acted_ms = world->now_ms;
	flush_plan_count(world->plan, &domains, &messages);
	require(domains <= FLUSH_DOMAINS_MAX && messages <= FLUSH_ALL_MAX,
	    "what is remembered is bounded");
}

static void
take_one(struct world *world, uint64_t set)
{
	char to[ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX];
	char queue_id[DELIVERY_QUEUE_MAX];

	if (!flush_plan_take_one(world->plan, set, world->now_ms, to, queue_id))
		return;
	require(strnlen(to, sizeof(to)) < sizeof(to), "a recipient ends");
	require(queue_id[0] != '\0', "a message has a queue id");
	require_printable(queue_id, sizeof(queue_id), "it is printable");
}

static void
refuse(struct world *world, const char *domain)
{
	struct name *name = name_of(world, domain);

	flush_plan_refuse(world->plan, domain);
	if (name != NULL)
		name->refused = true;
}

/* As flusher.c does. */
static bool
find_set(const void *arg, const char *domain, uint64_t *set_r)
{
	const struct config *config = arg;
	uint32_t route = route_find(config->index, domain, strlen(domain));

	if (route == ROUTE_NONE || config->routes[route].use_dns)
		return false;
	*set_r = config->sets[config->routes[route].set].key;
	return true;
}

static void
reload(struct world *world, const struct config *config)
{
	delivery_adopt(world->delivery, config);
	flush_plan_move(world->plan, find_set, config);
	flush_plan_forget_refusals(world->plan);
	for (unsigned i = 0; i < world->n_names; i++)
		world->names[i].refused = false;
	memset(world->streaks, 0, sizeof(world->streaks));
	world->config = config;
}

/* -- the input ------------------------------------------------------------ */

/*
 * A line that begins with "@" is no line of a log: the letter behind it says
 * what happens, the byte after that how long it took or to whom.
 */
static void
happen(struct world *world, struct feed line)
{
	const uint8_t what = feed_byte(&line), how = feed_byte(&line);
	const struct config *config = world->config;
	const uint64_t set = config->sets[how % config->n_sets].key;

	switch (what) {
	case 's':
		world->now_ms += how * UINT64_C(100);
		break;
	case 'h':
		world->now_ms += how * UINT64_C(3600000);
		break;
	case 'u':
		flush_plan_recovered(world->plan, set, world->now_ms, AGAIN_MS);
		break;
	case 'd':
		flush_plan_failed(world->plan, set);
		break;
	case 't':
		take_one(world, set);
		break;
	case 'r':
		refuse(world, config->routes[how % config->n_routes].domain);
		break;
	default:
		break;
	}
}

static struct feed
next_line(struct feed *input)
{
	const uint8_t *end = memchr(input->at, '\n', input->left);
	struct feed line = feed_piece(
	    input, end == NULL ? input->left : (size_t)(end - input->at));

	(void)feed_byte(input);
	return line;
}

static void
hear(struct world *world, const struct feed *text)
{
	struct delivery_line line;

	(void)delivery_line_parse((const char *)text->at, text->left, &line);
	delivery_feed(world->delivery, &line, world->now_ms);
}

static void
live(struct world *world, struct feed input, const struct config *after)
{
	struct feed line;

	while (input.left > 0) {
		line = next_line(&input);
		if (line.left >= 2 && line.at[0] == '@') {
			(void)feed_byte(&line);
			if (line.at[0] == 'c')
				reload(world, after);
			happen(world, line);
		} else {
			hear(world, &line);
		}
		check_step(world);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config *before, *after;
	static struct world world;
	struct delivery_calls calls = { on_seen, on_waiting, on_gone, &world };
	const struct hash_key key = { 1, 2 };

	if (before == NULL) {
		before = config_of(one);
		after = config_of(other);
	}
	memset(&world, 0, sizeof(world));
	world.config = before;
	world.now_ms = 1000000;
	world.plan = flush_plan_create(key);
	world.delivery = delivery_create(before, &calls);
	live(&world, (struct feed){ data, size }, after);
	delivery_free(&world.delivery);
	flush_plan_free(&world.plan);
	return 0;
}

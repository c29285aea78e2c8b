/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "tests/unit/line_summary.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void NH_PRINTF(2, 3)
    append(char text[LINE_SUMMARY_MAX], const char *format, ...)
{
	const size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text + used, LINE_SUMMARY_MAX - used, format, args);
	va_end(args);
}

static void
append_server(char text[LINE_SUMMARY_MAX], const char *name,
    const char *address, uint16_t port)
{
	append(text, " %s[%s]", name, address);
	if (port != 0)
		append(text, ":%u", port);
}

static void
append_failure(
    char text[LINE_SUMMARY_MAX], const struct delivery_failure *failure)
{
	if (!failure->there) {
		append(text, " -");
		return;
	}
	append_server(text, failure->name, failure->address, failure->port);
	append(text, " %s %s%s: %s", outcome_stage_name(failure->stage),
	    failure->refused ? "said" : outcome_info(failure->outcome)->token,
	    failure->told ? "!" : "", failure->text);
	ck_assert(failure->silent == (failure->outcome == OUTCOME_TIMEOUT));
	if (!failure->refused)
		return;
	ck_assert_int_eq(failure->outcome, OUTCOME_OK);
	ck_assert_str_eq(failure->reply.text, failure->text);
	if (failure->reply.enhanced)
		append(text, " (%u %u.%u.%u)", failure->reply.code,
		    failure->reply.class, failure->reply.subject,
		    failure->reply.detail);
	else
		append(text, " (%u)", failure->reply.code);
}

static void
append_result(char text[LINE_SUMMARY_MAX], const struct delivery_line *line)
{
	static const char *const statuses[] = { "sent", "deferred", "bounced",
		"probed" };
	static const char *const waits[] = { "", " suspended", " held",
		" other" };

	append(text, " %s@%s %s%s", line->recipient.local,
	    line->recipient.domain, statuses[line->status], waits[line->waits]);
	if (line->relayed)
		append_server(text, line->relay_name, line->relay_address,
		    line->relay_port);
	append(text, line->reused ? " reused" : "");
}

const char *
line_summary(const struct delivery_line *line, char text_r[LINE_SUMMARY_MAX])
{
	static const char *const kinds[] = { "other", "event", "result" };

	text_r[0] = '\0';
	append(text_r, "%s", kinds[line->kind]);
	if (line->kind == DELIVERY_LINE_OTHER)
		return text_r;
	append(text_r, "%s%s%s", line->attempt ? "" : " elsewhere",
	    line->queue_id[0] != '\0' ? " " : "", line->queue_id);
	if (line->kind == DELIVERY_LINE_RESULT)
		append_result(text_r, line);
	append_failure(text_r, &line->failure);
	return text_r;
}

const char *
line_summary_of(const char *tag, const char *message, size_t message_len,
    char text_r[LINE_SUMMARY_MAX])
{
	struct delivery_line line;
	enum delivery_line_kind kind = delivery_line_parse_record(
	    tag, strlen(tag), 4242, message, message_len, &line);

	ck_assert_int_eq(kind, line.kind);
	ck_assert_uint_eq(line.pid, kind == DELIVERY_LINE_OTHER ? 0 : 4242);
	return line_summary(&line, text_r);
}

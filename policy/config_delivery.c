/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include <stdlib.h>

#include "policy/config_parse.h"
#include "policy/reply_rule.h"
#include "policy/xalloc.h"

#define LOG_PATH_MAX 1023
#define NOT_WRITTEN  UINT32_MAX

/* -- logs ----------------------------------------------------------------- */

static const char *
take_log(struct config_reader *reader, const config_setting_t *setting,
    const char *text)
{
	struct config_delivery *delivery = &reader->config->delivery;

	(void)setting;
	if (!config_text_is_good(text, 1, LOG_PATH_MAX) ||
	    !config_path_is_absolute(text))
		return "is no absolute path";
	for (uint32_t i = 0; i < delivery->n_logs; i++) {
		if (strcmp(delivery->logs[i], text) == 0)
			return "stands in this list already";
	}
	if (delivery->n_logs == CONFIG_LOGS_MAX)
		return "is one too many";
	delivery->logs = xreallocarray(
	    delivery->logs, delivery->n_logs + 1, sizeof(delivery->logs[0]));
	delivery->logs[delivery->n_logs++] = xstrdup(text);
	return NULL;
}

/* -- the command ---------------------------------------------------------- */

/* The words stay where they stand in the text. */
static void
split_command(struct config_delivery *delivery)
{
	char *rest = delivery->flush_text, *word;
	uint32_t n = 0;

	delivery->flush_command =
	    xcalloc(strlen(rest) / 2 + 2, sizeof(delivery->flush_command[0]));
	while ((word = strsep(&rest, " ")) != NULL) {
		if (word[0] != '\0')
			delivery->flush_command[n++] = word;
	}
}

/* -- replies -------------------------------------------------------------- */

/* In the order of the words of delivery.replies.stage. */
static const enum outcome_stage stages[] = { STAGE_NONE, STAGE_GREETING,
	STAGE_EHLO, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_END_OF_DATA };

/* Takes ".NUMBER" of up to three digits (RFC 3463 section 2) off the text. */
static bool
take_number(const char **text, int16_t *number_r)
{
	size_t n = (*text)[0] == '.' ? strspn(*text + 1, "0123456789") : 0;

	if (n < 1 || n > 3)
		return false;
	*number_r = (int16_t)strtol(*text + 1, NULL, 10);
	*text += 1 + n;
	return true;
}

/* "4", "452", "4 4.7", "452 4.3.1": a class or a code, an enhanced code. */
static bool
parse_reply(const char *text, struct reply_rule *rule)
{
	size_t digits = strspn(text, "0123456789");
	char class = text[0];

	if ((class != '4' && class != '5') || (digits != 1 && digits != 3))
		return false;
	rule->code = (uint16_t)strtoul(text, NULL, 10);
	rule->subject = rule->detail = REPLY_ANY;
	text += digits;
	if (text[0] == '\0')
		return true;
	if (text[0] != ' ' || text[1] != class)
		return false;
	text += 2;
	return take_number(&text, &rule->subject) &&
	       (text[0] == '\0' || take_number(&text, &rule->detail)) &&
	       text[0] == '\0';
}

static void
read_reply(struct config_reader *reader, const config_setting_t *setting)
{
	struct config_delivery *delivery = &reader->config->delivery;
	struct reply_rule *rule = &delivery->replies[delivery->n_replies];
	struct config_raw_reply raw = { .concerns = NOT_WRITTEN };
	size_t errors = reader->report->problems->n_errors;

	config_group_read(
	    &reader->reply_group, setting, &raw, reader->report, NULL);
	if (reader->report->problems->n_errors != errors)
		return;
	if (raw.reply == NULL || raw.concerns == NOT_WRITTEN) {
		config_error_at(reader->report, config_line(setting),
		    "delivery.replies: an item without %s; reply = \"...\" and "
		    "concerns = \"...\" were expected",
		    raw.reply == NULL ? "a reply" : "concerns");
		return;
	}
	if (!parse_reply(raw.reply, rule)) {
		config_error_at(reader->report, config_line(setting),
		    "delivery.replies.reply: \"%s\"; a class (4, 5) or a code "
		    "(452) and, if wanted, an enhanced code of that class "
		    "(4.3, 4.3.1) was expected",
		    CONFIG_SHOWN(raw.reply));
		return;
	}
	rule->stage = stages[raw.stage];
	rule->trouble = (enum smtp_trouble)raw.concerns;
	rule->text = raw.text == NULL ? NULL : xstrdup(raw.text);
	delivery->n_replies++;
}

static void
read_replies(struct config_reader *reader)
{
	const config_setting_t *list =
	    config_written(reader, "delivery.replies");
	char shown[CONFIG_SHOWN_MAX];
	unsigned n;

	if (list == NULL)
		return;
	n = (unsigned)config_setting_length(list);
	if (!config_setting_is_list(list)) {
		config_error_at(reader->report, config_line(list),
		    "delivery.replies: %s; a list ( { reply = \"...\"; "
		    "concerns = \"...\"; }, ... ) was expected",
		    config_setting_shown(list, shown));
		return;
	}
	if (n > CONFIG_REPLIES_MAX) {
		config_error_at(reader->report, config_line(list),
		    "delivery.replies: %u items; at most %d were expected", n,
		    CONFIG_REPLIES_MAX);
		return;
	}
	reader->config->delivery.replies =
	    xcalloc((size_t)n + 1, sizeof(reader->config->delivery.replies[0]));
	for (unsigned i = 0; i < n; i++)
		read_reply(reader, config_setting_get_elem(list, i));
}

/* -- all of it ------------------------------------------------------------ */

void
config_read_delivery(struct config_reader *reader)
{
	config_read_strings(reader, "delivery.logs",
	    "at most 16 different absolute paths", take_log);
	split_command(&reader->config->delivery);
	read_replies(reader);
}

/* flush_text is freed with all strings of the table of options. */
void
config_delivery_clear(struct config_delivery *delivery)
{
	for (uint32_t i = 0; i < delivery->n_logs; i++)
		free(delivery->logs[i]);
	free(delivery->logs);
	free(delivery->flush_command);
	for (uint32_t i = 0; i < delivery->n_replies; i++)
		free(delivery->replies[i].text);
	free(delivery->replies);
}

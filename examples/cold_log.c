/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A message log that keeps everything and reads little of it: the text of old messages is named cold, the index that
 * every search walks is not. Prints where both lie.
 *
 *     cc -Wall -Wextra -o cold_log examples/cold_log.c $(pkg-config --cflags --libs tiermalloc)
 *     ./cold_log [MESSAGES]
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiermalloc.h>

#define RECENT 1000 /* messages that are likely to be read again */

struct message {
	uint64_t hash; /* what a search compares */
	size_t length;
	char *text;
};

struct log {
	struct message *index;
	size_t used, room;
};

static uint64_t text_hash(const char *text, size_t length) {
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Moves a message's text to the cold class: tm_realloc with the same size and another class. */
static void message_cool(struct message *message) {
	char *moved = tm_realloc(message->text, message->length + 1, TM_COLD);
	if (moved != NULL)
		message->text = moved; /* else it stays where it is, which is only slower */
}

static int log_append(struct log *log, const char *text, size_t length) {
	if (log->used == log->room) {
		size_t room = log->room == 0 ? 1024 : log->room * 2;
		struct message *index = realloc(log->index, room * sizeof(*index));
		if (index == NULL)
			return -1;
		log->index = index;
		log->room = room;
	}
	struct message *message = &log->index[log->used];
	message->text = malloc(length + 1);
	if (message->text == NULL)
		return -1;
	memcpy(message->text, text, length);
	message->text[length] = '\0';
	message->length = length;
	message->hash = text_hash(text, length);
	log->used++;
	if (log->used > RECENT)
		message_cool(&log->index[log->used - 1 - RECENT]);
	return 0;
}

static const struct message *log_find(const struct log *log, const char *text, size_t length) {
	uint64_t hash = text_hash(text, length);
	for (size_t i = log->used; i-- > 0;) {
		const struct message *message = &log->index[i];
		if (message->hash == hash && message->length == length && memcmp(message->text, text, length) == 0)
			return message;
	}
	return NULL;
}

static void tier_print(const char *name, const struct tm_tier_stats *tier) {
	printf("%s tier: %" PRIu64 " regions, %" PRIu64 " KiB in use, %" PRIu64 " KiB resident, %" PRIu64
	       " KiB on huge pages\n",
	    name, tier->regions, tier->committed >> 10, tier->resident >> 10, tier->huge >> 10);
}

int main(int argc, char **argv) {
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
	struct log log = {NULL, 0, 0};
	char text[512];

	for (size_t i = 0; i < count; i++) {
		int length = snprintf(text, sizeof(text), "message %zu: %0*zu", i, (int)(i % 400), i);
		if (log_append(&log, text, (size_t)length) != 0) {
			perror("cold_log");
			return EXIT_FAILURE;
		}
	}
	const struct message *found = log_find(&log, "message 0: 0", strlen("message 0: 0"));
	bool cold = found != NULL && tm_tier_of(found->text) == TM_COLD;
	printf("tiermalloc %s: %zu messages, the first is %sin the cold tier\n", tm_version(), log.used,
	    cold ? "" : "not ");

	struct tm_stats stats;
	if (tm_stats(&stats, sizeof(stats)) == 0) {
		printf("allocated: %" PRIu64 " KiB, cold class: %" PRIu64 " KiB\n", stats.allocated >> 10,
		    stats.class_committed[TM_COLD] >> 10);
		tier_print("hot ", &stats.tier[TM_HOT]);
		tier_print("cold", &stats.tier[TM_COLD]);
	}
	for (size_t i = 0; i < log.used; i++)
		free(log.index[i].text);
	free(log.index);
	return EXIT_SUCCESS;
}

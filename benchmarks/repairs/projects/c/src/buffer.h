#ifndef BUFFER_H
#define BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* A text that grows. Its data always ends with a zero byte. */
struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

#define BUFFER_FIRST 16

void buffer_init(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

/* False, and nothing changed, where there is no memory. */
bool buffer_append(struct buffer *buffer, const char *text, size_t length);

/* Take blanks and line ends from both sides. */
void buffer_trim(struct buffer *buffer);

/* How often a piece is in the text, without overlaps. */
size_t buffer_count(const struct buffer *buffer, const char *piece);

#endif

#include "buffer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void buffer_init(struct buffer *buffer)
{
    buffer->data = NULL;
    buffer->length = 0;
    buffer->capacity = 0;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer);
}

static bool reserve(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST;
    char *data;

    while (capacity < needed)
        capacity *= 2;
    if (capacity == buffer->capacity)
        return true;
    data = realloc(buffer->data, capacity);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool buffer_append(struct buffer *buffer, const char *text, size_t length)
{
    if (!reserve(buffer, buffer->length + length + 1))
        return false;
    memcpy(buffer->data + buffer->length, text, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return true;
}

void buffer_trim(struct buffer *buffer)
{
    size_t start = 0;
    size_t end = buffer->length;

    if (buffer->data == NULL)
        return;
    while (start < end && isspace((unsigned char)buffer->data[start]))
        start++;
    while (end > start && isspace((unsigned char)buffer->data[end - 1]))
        end--;
    memmove(buffer->data, buffer->data + start, end - start);
    buffer->length = end - start;
    buffer->data[buffer->length] = '\0';
}

size_t buffer_count(const struct buffer *buffer, const char *piece)
{
    size_t found = 0;
    const char *at = buffer->data;

    if (at == NULL || *piece == '\0')
        return 0;
    while ((at = strstr(at, piece)) != NULL) {
        found++;
        at += strlen(piece);
    }
    return found;
}

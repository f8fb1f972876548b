#ifndef NUMBERS_H
#define NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of decimal digits, or of hexadecimal ones after 0x. False for anything else, and for too large a number. */
bool parse_number(const char *text, uint32_t *value);

/* The median of some numbers, which are sorted for it; the lower one of the two in the middle. */
int median(int *numbers, size_t count);

/* Days of a month, 1 to 12; 0 for no such month. */
int days_of_month(int year, int month);

#endif

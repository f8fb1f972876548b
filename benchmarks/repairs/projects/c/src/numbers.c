#include "numbers.h"

#include <ctype.h>
#include <stdlib.h>

static int digit_of(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter = (char)tolower((unsigned char)letter);
    if (letter >= 'a' && letter <= 'f')
        return letter - 'a' + 10;
    return -1;
}

bool parse_number(const char *text, uint32_t *value)
{
    uint32_t base = 10;
    uint64_t sum = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        int digit = digit_of(*text);
        if (digit < 0 || (uint32_t)digit >= base)
            return false;
        sum = sum * base + (uint32_t)digit;
        if (sum > UINT32_MAX)
            return false;
    }
    *value = (uint32_t)sum;
    return true;
}

static int by_size(const void *left, const void *right)
{
    int one = *(const int *)left;
    int other = *(const int *)right;

    return (one > other) - (one < other);
}

int median(int *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, by_size);
    return numbers[(count - 1) / 2];
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (month < 1 || month > 12)
        return 0;
    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

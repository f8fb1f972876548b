#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "crc.h"
#include "numbers.h"

static void check(int right, const char *what)
{
    if (!right) {
        fprintf(stderr, "wrong: %s\n", what);
        exit(1);
    }
}

static void test_buffer(void)
{
    struct buffer buffer;
    int number;

    buffer_init(&buffer);
    check(buffer_count(&buffer, "a") == 0, "buffer_count of nothing");
    buffer_trim(&buffer);
    for (number = 0; number < 100; number++)
        check(buffer_append(&buffer, " ab", 3), "buffer_append");
    check(buffer.length == 300 && strlen(buffer.data) == 300, "buffer_append: the length");
    check(buffer.capacity > buffer.length, "buffer_append: room for the zero byte");
    check(buffer_count(&buffer, "ab a") == 50, "buffer_count without overlaps");
    buffer_append(&buffer, " \n", 2);
    buffer_trim(&buffer);
    check(buffer.length == 299 && buffer.data[0] == 'a' && buffer.data[298] == 'b', "buffer_trim");
    buffer_free(&buffer);
    check(buffer.data == NULL && buffer.capacity == 0, "buffer_free");
    buffer_append(&buffer, "0", 1);
    check(buffer.capacity == 16, "buffer_append: the first capacity");
    buffer_append(&buffer, "123456789abcdef", 15);
    check(buffer.capacity == 32, "buffer_append: the capacity");
    buffer_free(&buffer);
}

static void test_numbers(void)
{
    uint32_t value = 7;
    int extreme[] = {INT_MAX, INT_MIN, 0};
    int even[] = {4, 1, 3, 2};

    check(parse_number("0xFf", &value) && value == 255, "parse_number of 0xFf");
    check(parse_number("4294967295", &value) && value == UINT32_MAX, "parse_number of the largest");
    check(!parse_number("4294967296", &value), "parse_number of too large a number");
    check(!parse_number("0x", &value) && !parse_number("", &value), "parse_number of no digits");
    check(!parse_number("12a", &value) && value == UINT32_MAX, "parse_number of 12a");
    check(median(extreme, 3) == 0, "median of extreme numbers");
    check(median(even, 4) == 2, "median of an even count");
    check(days_of_month(2000, 2) == 29 && days_of_month(1900, 2) == 28, "days_of_month of centuries");
    check(days_of_month(2023, 2) == 28 && days_of_month(2024, 2) == 29, "days_of_month of February");
    check(days_of_month(2024, 12) == 31 && days_of_month(2024, 13) == 0, "days_of_month of December");
}

static void test_crc(void)
{
    uint32_t number;

    for (number = 0; number < 256; number++) {
        uint32_t value = number;
        int bit;
        for (bit = 0; bit < 8; bit++)
            value = value & 1 ? (value >> 1) ^ 0xedb88320u : value >> 1;
        if (crc_table[number] != value) {
            fprintf(stderr, "wrong: entry %u is 0x%08x, not 0x%08x\n", number, crc_table[number], value);
            exit(1);
        }
    }
    check(crc32_of((const unsigned char *)"123456789", 9) == 0xcbf43926u, "crc32_of");
}

int main(void)
{
    test_buffer();
    test_numbers();
    test_crc();
    puts("all right");
    return 0;
}

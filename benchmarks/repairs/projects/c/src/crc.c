#include "crc.h"

/* CRC-32, by the table of its polynomial. */
const uint32_t crc_table[256] = {
    /* @TABLE@ */
};

uint32_t crc32_of(const unsigned char *data, size_t length)
{
    uint32_t value = 0xffffffffu;
    size_t place;

    for (place = 0; place < length; place++)
        value = (value >> 8) ^ crc_table[(value ^ data[place]) & 0xff];
    return value ^ 0xffffffffu;
}
